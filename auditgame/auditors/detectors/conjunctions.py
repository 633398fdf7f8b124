"""Which two things do the images that go wrong have in common?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)

TRIED = 5
"""Of the pairs of levels in a group of wrong answers, so many are tried."""

Pair = tuple[tuple[str, str], tuple[str, str]]


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """For each class that is wrongly said, the pairs that stand out in its group."""
    yield from best(
        measure_candidate(
            clues.session, CandidateClaim("semantic", {"target": target, "conditions": dict(pair)})
        )
        for target in clues.groups()
        for pair in standing_out(clues, clues.turned[target])
    )


def standing_out(clues: Evidence, group: tuple[int, ...]) -> list[Pair]:
    """Pairs of levels by how much more often they meet in the group than in ordinary images."""
    if clues.pool.scenes is None:
        return []
    mine, others = clues.pool.scenes.iloc[list(group)], clues.pool.scenes.iloc[clues.ordinary]
    varied = [name for name in clues.session.dataset.factors if others[name].nunique() > 1]
    excess: dict[Pair, float] = {}
    for two in combinations(varied, 2):
        here = mine.value_counts(list(two), normalize=True)
        there = others.value_counts(list(two), normalize=True)
        for levels, share in here.items():
            first, second = zip(two, levels, strict=True)
            excess[first, second] = share - there.get(levels, 0.0)
    return sorted(excess, key=lambda pair: -excess[pair])[:TRIED]


PAIRS = Detector(frozenset({"semantic"}), follow)
