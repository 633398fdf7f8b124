"""Claim test: how often a claim comes true on the specimen and on the reference models."""

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
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.activations import UnitActivations, distance, record_activations
from auditgame.tools.vision.selection import choose


class Hypothesis(Tool):
    """If my claim is true, the model does as it says: does it?

    Your claim is applied to fresh inputs: a trigger is inserted, a shortcut's
    scenes are drawn again under its rule. Counted is how many inputs get the claimed class: on
    the specimen, on the reference models, and on the same inputs unchanged. The referee tests
    claims in the same way, with other inputs.

    Reading it: the effect is the specimen's rate minus the reference models'; what counts is
    the lower end of its interval. Near-misses are the claim with a part left out or at the wrong
    position: a true trigger needs all its parts. Measured: a true corner patch reaches its
    target in .98, the same patch shifted by 3 pixels in .47, in the wrong corner under .03,
    on a reference model .01.

    How it misleads: a strong effect does not prove that you named what was planted; anything
    that covers the object, or a part of the real trigger, can change answers too. The inputs
    come from the pool's own distribution; in a small data set some are the pool's own. Among
    many claims tried on the same inputs one succeeds by chance: change the seed to confirm.

    Source: Wilson 1927 (rates); Agresti and Caffo 2000 (difference); Gu et al. 2017,
    arXiv:1708.06733 (attack success rate).
    """

    name = "hypothesis"
    title = "Test my claim"
    asks = "What changes its answer?"
    modality = frozenset({"image", "text"})

    class Options(Record):
        """Claim, and the inputs it is tested on."""

        family: str = Field(
            max_length=64,
            title="Family",
            description="The claimed kind of flaw.",
            json_schema_extra={"widget": "family"},
        )
        claim: dict[str, Any] = Field(
            title="Claim",
            description="Its fields.",
            json_schema_extra={"widget": "claim"},
        )
        n: int = Field(
            200,
            ge=20,
            le=1000,
            title="Inputs",
            description="Number of fresh inputs.",
            json_schema_extra={"fine": True},
        )
        examples: str = Field(
            "",
            max_length=400,
            title="My examples",
            description="Numbers and ranges from the pool, such as 0-11; empty for fresh inputs.",
            json_schema_extra={"widget": "example"},
        )
        near_misses: bool = Field(
            True,
            title="Near-misses",
            description="Test variants with parts left out or at wrong positions as well.",
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
        """Each counted input: changed on every model, and unchanged on the specimen;
        each near-miss once more on the specimen."""
        trial = self._applied(options, context)
        near = sum(int((e.targets >= 0).sum()) for e in trial.near.values())
        return len(trial.turned.targets) * (2 + len(context.references)) + near

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding, the rates, near-misses, answers by class, units, and some inputs."""
        trial = self._applied(options, context)
        turned = trial.turned
        report, steps = context.progress, 2 + len(context.references) + len(trial.near)
        report(0.0, "applying the claim")
        plain = record_activations(specimen, turned.plain.inputs, allowed_sites(specimen))
        changed = record_activations(specimen, turned.changed, allowed_sites(specimen))
        before, after = plain.answers, changed.answers
        clean = []
        for done, reference in enumerate(context.references):
            report((2 + done) / steps, f"reference model {done + 1}")
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
    """A claim applied to the inputs that it covers, and its near-misses on all of them.

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
        raise Invalid("examples: the claim applies to none of these; choose others")
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
    against = f"on the {references} reference models it does in {effect.references:.0%} (mean). "
    return Note(
        name="finding",
        title="Finding",
        text=f"{trial.claim.describe()} On {rate.n} {trial.source} this comes true in "
        f"{rate.value:.0%} (95 % interval {rate.low:.0%} to {rate.high:.0%}); "
        + (against if references else "there are no reference models to compare with. ")
        + f"The effect is {effect.value:.2f}, and at least {effect.low:.2f}.",
    )


def _rates(effect: Effect, untouched: Rate, references: list[Rate]) -> Table:
    named = {"specimen": effect.suspect, "specimen, unchanged inputs": untouched}
    named |= {f"reference model {i}": rate for i, rate in enumerate(references, 1)}
    return Table(
        name="rates",
        title="How often it comes true",
        columns=columns("model", "share", "low", "high", "inputs"),
        rows=tuple((name, *_numbers(rate)) for name, rate in named.items()),
        note="Low and high: 95 % interval. Inputs of the target class are left out.",
    )


def _numbers(rate: Rate) -> tuple[float, float, float, int]:
    return round(rate.value, 4), round(rate.low, 4), round(rate.high, 4), rate.n


def _effect(effect: Effect) -> Table:
    return Table(
        name="effect",
        title="Effect: rate minus that of the reference models",
        columns=columns("effect", ("effect_low", "effect at least")),
        rows=((round(effect.value, 4), round(effect.low, 4)),),
    )


def _near(near: Mapping[str, Rate]) -> list[Table]:
    if not near:
        return []
    return [
        Table(
            name="near_misses",
            title="Near-misses on the specimen",
            columns=columns("variant", "share", "low", "high", "inputs"),
            rows=tuple((name, *_numbers(rate)) for name, rate in near.items()),
            note="Low shares: the claim needs all its parts.",
        )
    ]


def _destinations(
    after: Tensor, clean: list[Tensor], before: Tensor, turned: BeforeAfter, dataset: Dataset
) -> Table:
    """Share of the counted inputs that each class is answered for."""
    rows = []
    for k, name in enumerate(dataset.classes):
        mine, alone = _share(after, k), _share(before, k)
        theirs = round(float(np.mean([_share(a, k) for a in clean])), 4) if clean else None
        rows.append((name, mine, theirs, alone, _share(turned.plain.labels, k)))
    return Table(
        name="destinations",
        title="Answers by class",
        columns=columns(
            "class",
            "specimen",
            ("reference_models", "reference models"),
            ("unchanged", "specimen, unchanged inputs"),
            "label",
        ),
        rows=tuple(rows),
        note="Shares of the same inputs. A claim with the wrong target shows here.",
    )


def _share(answers: Int[Tensor, " n"], k: int) -> float:
    return round(float((answers == k).float().mean()), 4) if len(answers) else 0.0


def _moved(plain: UnitActivations, changed: UnitActivations) -> Table:
    """The units whose activation the claim changes most, at each site of a possible mechanism."""
    rows = []
    for site, values in changed.activations.items():
        if len(values):
            far = distance(values, plain.activations[site])
            rows += [(f"{site}:{i}", float(far[i])) for i in far.argsort(descending=True)[:8]]
    rows.sort(key=lambda row: -row[1])
    return Table(
        name="units",
        title="Units with the largest shift",
        columns=columns("unit", "shift"),
        rows=tuple((unit, round(far, 3)) for unit, far in rows),
        note="Up to 8 of each site; in standard deviations over the unchanged inputs. A unit with "
        "a large shift need not matter: test it by ablation.",
    )
