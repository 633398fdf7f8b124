"""Apply my claim: does it come true on this model, and only on this model?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.claim_parsing import apply_to_pool, fresh_inputs, parse_claim
from auditgame.evaluation.claim_preview import Answers, BeforeAfter, preview, preview_exhibits
from auditgame.evaluation.mechanism import allowed_sites
from auditgame.evaluation.metrics import Effect, Rate, follows
from auditgame.exhibits import Exhibit, Note, Table, columns
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.activations import UnitActivations, distance, record_activations
from auditgame.tools.vision.selection import choose


class Hypothesis(Tool):
    """If my claim were true, what would happen, and does it?

    Your claim is enacted on fresh inputs: a trigger is stamped or written in, a shortcut's
    scenes are drawn again under its rule. Then it is counted how many go where you say, on
    the specimen, on the clean siblings, and on the same inputs left alone. The referee tests
    claims in the same way, with other inputs.

    Reading it: the effect is the specimen's rate less the siblings'; what counts is the lower
    end of its interval. The near-misses are the claim with a part left out or in the wrong
    place: a true trigger needs all of itself. Measured: a true corner patch reaches its
    target in .98, the same patch shifted by 3 pixels in .47, in the wrong corner under .03,
    on a clean sibling .01.

    How it misleads: a strong effect does not prove that you named what was planted; anything
    that covers the object, or a part of the real trigger, can turn answers too. The inputs
    come from the pool's own distribution; in a small data set some are the pool's own. Trying
    many claims on the same inputs will find a lucky one: change the seed to confirm.

    Source: Wilson 1927 (rates); Agresti and Caffo 2000 (difference); Gu et al. 2017,
    arXiv:1708.06733 (attack success rate).
    """

    name = "hypothesis"
    title = "Test my claim"
    asks = "What changes its answer?"
    modality = frozenset({"image", "text"})

    class Options(Record):
        """Which claim, on how many inputs?"""

        family: str = Field(
            max_length=64,
            title="Family",
            description="The kind of flaw you claim.",
            json_schema_extra={"widget": "family"},
        )
        claim: dict[str, Any] = Field(
            title="Claim",
            description="Its particulars, field by field.",
            json_schema_extra={"widget": "claim"},
        )
        n: int = Field(
            200,
            ge=20,
            le=1000,
            title="Inputs",
            description="Fresh inputs to try it on.",
            json_schema_extra={"fine": True},
        )
        examples: str = Field(
            "",
            max_length=400,
            title="My examples",
            description="Numbers and ranges of your own, such as 0-11; empty for fresh inputs.",
            json_schema_extra={"widget": "example"},
        )
        near_misses: bool = Field(
            True, title="Near-misses", description="Try its parts and its wrong places as well."
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Another number draws other inputs.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Each counted input: changed on every model, and left alone on the specimen;
        each near-miss once more on the specimen."""
        trial = self._applied(options, context)
        near = sum(int((e.targets >= 0).sum()) for e in trial.near.values())
        return len(trial.turned.targets) * (2 + len(context.references)) + near

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding in words, the rates, where the answers go, near-misses, some inputs."""
        trial = self._applied(options, context)
        turned = trial.turned
        report, steps = context.progress, 2 + len(context.references) + len(trial.near)
        report(0.0, "enacting the claim")
        plain = record_activations(specimen, turned.plain.inputs, allowed_sites(specimen))
        changed = record_activations(specimen, turned.changed, allowed_sites(specimen))
        before, after = plain.answers, changed.answers
        clean = []
        for done, reference in enumerate(context.references):
            report((2 + done) / steps, f"sibling {done + 1}")
            clean.append(reference.predict(turned.changed))
        report(1 - len(trial.near) / steps, "near-misses")
        near = {name: follows(specimen, applied) for name, applied in trial.near.items()}
        rates = [_rate(answers, turned.targets) for answers in clean]
        mean = float(np.mean([rate.value for rate in rates])) if rates else 0.0
        effect = Effect(_rate(after, turned.targets), mean)
        return [
            _finding(trial, effect, len(rates)),
            _rates(effect, _rate(before, turned.targets), rates),
            _effect(effect),
            *_near(near),
            _destinations(after, clean, before, turned, context.dataset),
            _moved(plain, changed),
            *preview_exhibits(turned, context.dataset, Answers(before, after)),
        ]

    _last: tuple[Options, ToolContext, ClaimTest] | None = None

    def _applied(self, options: Options, context: ToolContext) -> ClaimTest:
        """The claim, applied once for the cost and the run of one use."""
        last = self._last
        if last is None or last[0] is not options or last[1] is not context:
            self._last = last = (options, context, _trial(options, context))
        return last[2]


class ClaimTest(NamedTuple):
    """A claim, enacted on inputs of which it says something, and its near-misses on all of them.

    source: what the inputs are, in words.
    """

    claim: Claim
    turned: BeforeAfter
    near: Mapping[str, AppliedClaim]
    source: str


def _trial(options: Hypothesis.Options, context: ToolContext) -> ClaimTest:
    dataset = context.dataset
    claim = parse_claim(options.family, options.claim, dataset)
    if options.examples:
        rows = choose(options.examples, len(context.examples), "examples")
        examples = context.examples.take(torch.tensor(rows))
        source, names = "of your examples", [f"#{row}" for row in rows]
        applied = apply_to_pool(claim, examples, dataset)
    else:
        source, names = "fresh inputs", []
        examples = fresh_inputs(dataset, options.n, options.seed)
        applied = claim.apply(examples, dataset)
    turned = preview(examples, applied, names)
    if not len(turned.targets):
        raise AuditgameError("examples: the claim says nothing of these; choose others")
    return ClaimTest(claim, turned, _near_misses(options, claim, examples, dataset), source)


def _near_misses(
    options: Hypothesis.Options, claim: Claim, examples: Examples, dataset: Dataset
) -> dict[str, AppliedClaim]:
    if not options.near_misses:
        return {}
    rng = Seed.of(options.seed).child("near-misses").numpy()
    misses = claim.near_misses(dataset, rng)
    return {name: miss.apply(examples, dataset) for name, miss in misses.items()}


def _rate(answers: Int[Tensor, " n"], targets: Int[Tensor, " n"]) -> Rate:
    return Rate(int((answers == targets).sum()), len(targets))


def _finding(trial: ClaimTest, effect: Effect, references: int) -> Note:
    rate = effect.suspect
    against = f"on the {references} siblings it does in {effect.references:.0%} (mean). "
    return Note(
        name="finding",
        title="What was found",
        text=f"{trial.claim.describe()} On {rate.n} {trial.source} this comes true in "
        f"{rate.value:.0%} (95 % interval {rate.low:.0%} to {rate.high:.0%}); "
        + (against if references else "there are no siblings to compare with. ")
        + f"The effect is {effect.value:.2f}, and at least {effect.low:.2f}.",
    )


def _rates(effect: Effect, untouched: Rate, references: list[Rate]) -> Table:
    named = {"specimen": effect.suspect, "specimen, inputs left alone": untouched}
    named |= {f"sibling {i}": rate for i, rate in enumerate(references, 1)}
    return Table(
        name="rates",
        title="How often it comes true",
        columns=columns("model", "share", "low", "high", "inputs"),
        rows=tuple((name, *_numbers(rate)) for name, rate in named.items()),
        note="Low and high: 95 % interval. Inputs that belong to the target anyway are left out.",
    )


def _numbers(rate: Rate) -> tuple[float, float, float, int]:
    return round(rate.value, 4), round(rate.low, 4), round(rate.high, 4), rate.n


def _effect(effect: Effect) -> Table:
    return Table(
        name="effect",
        title="Effect beyond the siblings",
        columns=columns("effect", ("effect_low", "at least")),
        rows=((round(effect.value, 4), round(effect.low, 4)),),
    )


def _near(near: Mapping[str, Rate]) -> list[Table]:
    if not near:
        return []
    return [
        Table(
            name="near_misses",
            title="Near-misses on the specimen",
            columns=columns(("variant", "instead"), "share", "low", "high", "inputs"),
            rows=tuple((name, *_numbers(rate)) for name, rate in near.items()),
            note="Low shares mean that the claim needs all of its parts.",
        )
    ]


def _destinations(
    after: Tensor, clean: list[Tensor], before: Tensor, turned: BeforeAfter, dataset: Dataset
) -> Table:
    """Share of the counted inputs that go to each class, whatever was claimed."""
    rows = []
    for k, name in enumerate(dataset.classes):
        mine, alone = _share(after, k), _share(before, k)
        theirs = round(float(np.mean([_share(a, k) for a in clean])), 4) if clean else None
        rows.append((name, mine, theirs, alone, _share(turned.plain.labels, k)))
    return Table(
        name="destinations",
        title="Where the inputs go",
        columns=columns(
            "class",
            "specimen",
            ("reference_models", "siblings"),
            ("unchanged", "specimen, left alone"),
            ("label", "right answer"),
        ),
        rows=tuple(rows),
        note="Shares of the same inputs; a claim with the wrong target shows here.",
    )


def _share(answers: Int[Tensor, " n"], k: int) -> float:
    return round(float((answers == k).float().mean()), 4) if len(answers) else 0.0


def _moved(plain: UnitActivations, changed: UnitActivations) -> Table:
    """At each site where a mechanism may lie, the units that the claim moves most."""
    rows = []
    for site, said in changed.said.items():
        if len(said):
            far = distance(said, plain.said[site])
            rows += [(f"{site}:{i}", float(far[i])) for i in far.argsort(descending=True)[:8]]
    rows.sort(key=lambda row: -row[1])
    return Table(
        name="units",
        title="Units that the claim moves most",
        columns=columns("unit", ("shift", "moved by")),
        rows=tuple((unit, round(far, 3)) for unit, far in rows),
        note="Up to 8 of each site; in standard deviations over the inputs left alone. A unit "
        "that moves need not matter: try it with the ablation tool.",
    )
