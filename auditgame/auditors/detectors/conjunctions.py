"""Detector for semantic triggers: two factor levels that occur together."""

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
"""Pairs of levels measured for each wrong answer."""

Pair = tuple[tuple[str, str], tuple[str, str]]


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """For each wrong answer, the pairs of levels that are most over-represented."""
    yield from best(
        measure_candidate(
            evidence.session,
            CandidateClaim("semantic", {"target": target, "conditions": dict(pair)}),
        )
        for target in evidence.groups()
        for pair in over_represented(evidence, evidence.errors[target])
    )


def over_represented(evidence: Evidence, group: tuple[int, ...]) -> list[Pair]:
    """Pairs of levels by how much more often they occur in the group than in other examples."""
    if evidence.pool.scenes is None:
        return []
    mine, others = (
        evidence.pool.scenes.iloc[list(group)],
        evidence.pool.scenes.iloc[evidence.ordinary],
    )
    varied = [name for name in evidence.session.dataset.factors if others[name].nunique() > 1]
    excess: dict[Pair, float] = {}
    for two in combinations(varied, 2):
        here = mine.value_counts(list(two), normalize=True)
        there = others.value_counts(list(two), normalize=True)
        for levels, share in here.items():
            first, second = zip(two, levels, strict=True)
            excess[first, second] = share - there.get(levels, 0.0)
    return sorted(excess, key=lambda pair: -excess[pair])[:TRIED]


CONJUNCTIONS = Detector(frozenset({"semantic"}), detect)
