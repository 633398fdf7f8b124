"""Apply my claim: does it come true on this model, and only on this model?"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.assertion import fresh_inputs, parse_claim
from auditgame.claims import Claim, Enacted
from auditgame.datasets import Dataset, Examples
from auditgame.pictures import png
from auditgame.readout import Readout, distance, read_out
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Material, Tool
from auditgame.trials import Effect, Rate, admissible, follows
from auditgame.types import Exhibit, Gallery, Note, Record, Table, Tile, Tokens


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
            200, ge=20, le=1000, title="Inputs", description="Fresh inputs to try it on."
        )
        near_misses: bool = Field(
            True, title="Near-misses", description="Try its parts and its wrong places as well."
        )
        seed: int = Field(
            0, ge=0, le=9999, title="Seed", description="Another number draws other inputs."
        )

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """Each counted input: changed on every model, and left alone on the specimen;
        each near-miss once more on the specimen."""
        trial = _trial(options, material.dataset)
        near = sum(int((e.targets >= 0).sum()) for e in trial.near.values())
        return len(trial.targets) * (2 + len(material.siblings)) + near

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """The finding in words, the rates, where the answers go, near-misses, some inputs."""
        trial = _trial(options, material.dataset)
        report, steps = material.progress, 2 + len(material.siblings) + len(trial.near)
        report(0.0, "enacting the claim")
        plain = read_out(specimen, trial.plain.inputs, admissible(specimen))
        changed = read_out(specimen, trial.changed, admissible(specimen))
        before, after = plain.answers, changed.answers
        clean = []
        for done, sibling in enumerate(material.siblings):
            report((2 + done) / steps, f"sibling {done + 1}")
            clean.append(sibling.predict(trial.changed))
        report(1 - len(trial.near) / steps, "near-misses")
        near = {name: follows(specimen, enacted) for name, enacted in trial.near.items()}
        rates = [_rate(answers, trial.targets) for answers in clean]
        mean = float(np.mean([rate.value for rate in rates])) if rates else 0.0
        effect = Effect(_rate(after, trial.targets), mean)
        return [
            _finding(trial.claim, effect, len(rates)),
            _rates(effect, _rate(before, trial.targets), rates),
            _effect(effect),
            *_near(near),
            _destinations(after, clean, before, trial, material.dataset),
            _moved(plain, changed),
            *_shown(trial, before, after, material.dataset),
        ]


class Trial(NamedTuple):
    """A claim, enacted: inputs before and after, where each is claimed to go, near-misses.

    Holds only the inputs of which the claim says something.
    """

    claim: Claim
    plain: Examples
    changed: Tensor
    targets: Int[Tensor, " n"]
    near: Mapping[str, Enacted]


def _trial(options: Hypothesis.Options, dataset: Dataset) -> Trial:
    claim = parse_claim(options.family, options.claim, dataset)
    examples = fresh_inputs(dataset, options.n, options.seed)
    enacted = claim.enact(examples, dataset)
    near = {}
    if options.near_misses:
        rng = Seed.of(options.seed).child("near-misses").numpy()
        near = {
            name: miss.enact(examples, dataset)
            for name, miss in claim.near_misses(dataset, rng).items()
        }
    counted = enacted.targets >= 0
    changed = enacted.examples.inputs[counted]
    return Trial(claim, examples.take(counted), changed, enacted.targets[counted], near)


def _rate(answers: Int[Tensor, " n"], targets: Int[Tensor, " n"]) -> Rate:
    return Rate(int((answers == targets).sum()), len(targets))


def _finding(claim: Claim, effect: Effect, siblings: int) -> Note:
    rate = effect.suspect
    against = f"on the {siblings} siblings it does in {effect.siblings:.0%} (mean). "
    return Note(
        title="What was found",
        text=f"{claim.sentence()} On {rate.n} fresh inputs this comes true in {rate.value:.0%} "
        f"(95 % interval {rate.low:.0%} to {rate.high:.0%}); "
        + (against if siblings else "there are no siblings to compare with. ")
        + f"The effect is {effect.value:.2f}, and at least {effect.low:.2f}.",
    )


def _rates(effect: Effect, untouched: Rate, siblings: list[Rate]) -> Table:
    named = {"specimen": effect.suspect, "specimen, inputs left alone": untouched}
    named |= {f"sibling {i}": rate for i, rate in enumerate(siblings, 1)}
    return Table(
        title="How often it comes true",
        columns=("model", "share", "low", "high", "inputs"),
        rows=tuple((name, *_numbers(rate)) for name, rate in named.items()),
        note="Low and high: 95 % interval. Inputs that belong to the target anyway are left out.",
    )


def _numbers(rate: Rate) -> tuple[float, float, float, int]:
    return round(rate.value, 4), round(rate.low, 4), round(rate.high, 4), rate.n


def _effect(effect: Effect) -> Table:
    return Table(
        title="Effect beyond the siblings",
        columns=("effect", "at least"),
        rows=((round(effect.value, 4), round(effect.low, 4)),),
    )


def _near(near: Mapping[str, Rate]) -> list[Table]:
    if not near:
        return []
    return [
        Table(
            title="Near-misses on the specimen",
            columns=("instead", "share", "low", "high", "inputs"),
            rows=tuple((name, *_numbers(rate)) for name, rate in near.items()),
            note="Low shares mean that the claim needs all of its parts.",
        )
    ]


def _destinations(
    after: Tensor, clean: list[Tensor], before: Tensor, trial: Trial, dataset: Dataset
) -> Table:
    """Share of the counted inputs that go to each class, whatever was claimed."""
    rows = []
    for k, name in enumerate(dataset.classes):
        mine, alone = _share(after, k), _share(before, k)
        theirs = round(float(np.mean([_share(a, k) for a in clean])), 4) if clean else None
        rows.append((name, mine, theirs, alone, _share(trial.plain.labels, k)))
    return Table(
        title="Where the inputs go",
        columns=("class", "specimen", "siblings", "specimen, left alone", "right answer"),
        rows=tuple(rows),
        note="Shares of the same inputs; a claim with the wrong target shows here.",
    )


def _share(answers: Int[Tensor, " n"], k: int) -> float:
    return round(float((answers == k).float().mean()), 4) if len(answers) else 0.0


def _moved(plain: Readout, changed: Readout) -> Table:
    """At each site where a mechanism may lie, the units that the claim moves most."""
    rows = []
    for site, said in changed.said.items():
        if len(said):
            far = distance(said, plain.said[site])
            rows += [(f"{site}:{i}", float(far[i])) for i in far.argsort(descending=True)[:8]]
    rows.sort(key=lambda row: -row[1])
    return Table(
        title="Units that the claim moves most",
        columns=("unit", "moved by"),
        rows=tuple((unit, round(far, 3)) for unit, far in rows),
        note="Up to 8 of each site; in standard deviations over the inputs left alone. A unit "
        "that moves need not matter: try it with the ablation tool.",
    )


# ---------------------------------------------------------------- some inputs


def _shown(trial: Trial, before: Tensor, after: Tensor, dataset: Dataset) -> list[Exhibit]:
    show = _pictures if dataset.modality == "image" else _texts
    return show(trial, before.tolist(), after.tolist(), dataset)


def _pictures(trial: Trial, before: list[int], after: list[int], dataset: Dataset) -> list[Exhibit]:
    tiles = []
    for row in range(min(8, len(before))):
        right = dataset.classes[int(trial.plain.labels[row])]
        came_true = after[row] == int(trial.targets[row])
        said = dataset.classes[before[row]], dataset.classes[after[row]]
        tiles.append(Tile(png=png(trial.plain.inputs[row]), label=right, note=f"said {said[0]}"))
        tiles.append(
            Tile(
                png=png(trial.changed[row]),
                label="changed",
                note=f"said {said[1]}",
                tone="bad" if came_true else "plain",
            )
        )
    note = "In pairs: left alone, then changed. Red: the claim came true."
    return [Gallery(title="Before and after", tiles=tuple(tiles), columns=8, note=note)]


def _texts(trial: Trial, before: list[int], after: list[int], dataset: Dataset) -> list[Exhibit]:
    shown: list[Exhibit] = []
    for row in range(min(6, len(before))):
        plain = dataset.decode(trial.plain.inputs[row]).split()
        words = dataset.decode(trial.changed[row]).split()
        said = f"{dataset.classes[before[row]]} became {dataset.classes[after[row]]}"
        if before[row] == after[row]:
            said = f"stayed {dataset.classes[after[row]]}"
        shown.append(
            Tokens(
                title=f"Text {row + 1}: {said}",
                tokens=tuple(words),
                weights=_new(plain, words),
                limit=1.0,
                note="Marked: what the claim changed.",
            )
        )
    return shown


def _new(plain: list[str], words: list[str]) -> tuple[float, ...]:
    """1 for each word that the plain text does not have at that point, else 0."""
    weights = [1.0] * len(words)
    for block in SequenceMatcher(None, plain, words, autojunk=False).get_matching_blocks():
        weights[block.b : block.b + block.size] = [0.0] * block.size
    return tuple(weights)
