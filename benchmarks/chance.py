"""What does guessing earn? `python -m benchmarks.chance [FOLDER] [--case ID ...]`.

Random claims of the true family, drawn as the family draws its flaws, with random units, are
judged by the referee's own functions. Prints, family by family, the mean points for target, trigger
and mechanism and for their sum, each with its standard error: all should be 0. Detection and family
are not guessed here.

The draws are balanced over the targets, equally many for each, and over the units, which are dealt
like cards: that leaves the mean as it is where a family draws targets evenly, and makes its error
smaller than the one that is printed, which takes the draws as independent. Equal claims are applied
once, and to fewer inputs than in play. In keys that were sealed before chance was measured, it is
measured here, on other claims and inputs than those that are judged.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from auditgame import bundles, paths
from auditgame.challenges.build import held_inputs
from auditgame.challenges.fine_tuning import one_thread
from auditgame.evaluation import chance
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.evaluation.mechanism import MAX_UNITS, allowed_sites, allowed_units
from auditgame.flaws import draw_claims
from auditgame.play import referee, scoring
from auditgame.schema.claims import Claim
from auditgame.schema.diagnosis import Diagnosis
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

PARTS = ("target", "trigger", "mechanism")
POOL = 10
"""So many times as many claims are drawn as are judged, to balance their targets."""


class Guesses(NamedTuple):
    """The points of random diagnoses of one case, by part, and the chance subtracted."""

    case: str
    family: str
    chance: float
    points: dict[str, Float[np.ndarray, " draw"]]


def guess(folder: Path, draws: int, inputs: int) -> Guesses | None:
    """Judge random diagnoses of this challenge; None where its model is clean."""
    manifest, key = bundles.read_manifest(folder), referee.open_key(folder)
    if key.claim is None:
        return None
    setup = referee.set_up(folder, manifest)
    setup = replace(setup, inputs=setup.inputs.take(slice(0, inputs)))
    true, seed = claim_type(key.family).parse(key.claim), Seed.of(0).child(manifest.id)
    if key.chance is None:
        rng = seed.child("chance").numpy()
        measured = chance.measure_chance(
            draw_claims(key.recipe, key.family, chance.DRAWS, rng),
            true,
            setup.suspect,
            setup.references,
            held_inputs(true, setup.dataset, chance.INPUTS, rng),
        )
        key = key.model_copy(update={"chance": measured})
    rng = seed.child("guesses").numpy()
    pool = draw_claims(key.recipe, key.family, POOL * draws, rng)
    earned = defaultdict(list)
    all_units = guessed_units(setup.suspect, rng)
    for claim, units in zip(balanced(pool, draws), all_units, strict=False):
        said = Diagnosis(family=key.family, claim=claim.model_dump(mode="json"), units=units)
        checked = referee.checked_claim(said, manifest, setup)
        score = scoring.flawed(0.5, referee.measure(said, checked, key, manifest, setup))
        parts = {part.name: part.points for part in score.components}
        for name in PARTS:
            earned[name].append(parts.get(name, 0.0))
    points = {name: np.array(values) for name, values in earned.items()}
    mean = scoring.claim_share(key.chance.functional, key.chance.close)
    return Guesses(manifest.id, key.family, mean, points)


def balanced(claims: Sequence[Claim], number: int) -> list[Claim]:
    """So many of these claims, target by target in turn."""
    by_target: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_target[getattr(claim, "target", "")].append(claim)
    queues = [by_target[target] for target in sorted(by_target)]
    chosen: list[Claim] = []
    for turn in range(len(claims)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
    return chosen[:number]


def guessed_units(specimen: Specimen, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """As many random units as may be named, without end: of one site, or of any for texts.

    The units of a pool are dealt like cards, the pools (an image model's sites) in turn.
    """
    sites = allowed_sites(specimen)
    groups = [[site] for site in sites] if specimen.modality == "image" else [sites]
    pools = [allowed_units(specimen, group) for group in groups]
    while True:
        for pool in pools:
            dealt, size = rng.permutation(pool), min(MAX_UNITS[specimen.modality], len(pool))
            hands = np.split(dealt[: len(pool) // size * size], len(pool) // size)
            yield from (tuple(str(unit) for unit in hand) for hand in hands)


def table(found: Sequence[Guesses]) -> Iterator[str]:
    """The table, line by line: one row for each family."""
    yield "| family | cases | draws | chance | " + " | ".join((*PARTS, "sum")) + " |"
    yield "|" + "---|" * (5 + len(PARTS))
    for family in sorted({one.family for one in found}):
        cases = [one for one in found if one.family == family]
        points = [np.concatenate([one.points[name] for one in cases]) for name in PARTS]
        cells = [_cell(values) for values in (*points, np.sum(points, axis=0))]
        mean = np.mean([one.chance for one in cases])
        row = (family, str(len(cases)), str(len(points[0])), f"{mean:.3f}", *cells)
        yield "| " + " | ".join(row) + " |"


def _cell(values: Float[np.ndarray, " draw"]) -> str:
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"


def main() -> None:
    """Judge the guesses, case by case, and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", nargs="?", type=Path, default=paths.practice())
    asked.add_argument("--case", action="append", help="these cases alone")
    asked.add_argument("--draws", type=int, default=200)
    asked.add_argument("--inputs", type=int, default=chance.INPUTS)
    options = asked.parse_args()
    folders = sorted(file.parent for file in options.folder.glob(f"*/{bundles.MANIFEST}"))
    found = []
    with one_thread():
        for folder in folders:
            if options.case and folder.name not in options.case:
                continue
            one = guess(folder, options.draws, options.inputs)
            if one:
                found.append(one)
                print(f"{one.case}: {one.family}", flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
