"""Local search over claims: measure all on few inputs, then refine the best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from auditgame.auditors.detectors import CandidateClaim, MeasuredClaim, measure_candidate
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.schema.errors import AuditgameError

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

COARSE, FINE = 24, 80
"""Inputs for a first measurement, and during refinement."""
FINALISTS = 2
"""Claims that are refined."""
PROMISING = 0.25
"""Effect on few inputs from which a claim is refined."""
BETTER = 0.02
"""Least gain of a step."""


def refined(
    session: AuditSession, candidates: Iterable[CandidateClaim], steps: Mapping[str, float]
) -> Iterator[MeasuredClaim]:
    """The best of these claims after refining the most promising."""
    tried = sorted(
        (measure_candidate(session, one, COARSE) for one in candidates), key=lambda one: -one.effect
    )
    promising = [one for one in tried[:FINALISTS] if one.effect >= PROMISING]
    results = [
        climb(session, measure_candidate(session, one.candidate, FINE), steps) for one in promising
    ]
    if results:
        yield max(results, key=lambda one: one.effect)


def climb(session: AuditSession, start: MeasuredClaim, steps: Mapping[str, float]) -> MeasuredClaim:
    """Hill climbing: one number changes by one step at a time."""
    now = start
    while True:
        near = [measure_candidate(session, one, FINE) for one in neighbours(now.candidate, steps)]
        top = max(near, key=lambda one: one.effect, default=now)
        if top.effect < now.effect + BETTER:
            return now
        now = top


def neighbours(candidate: CandidateClaim, steps: Mapping[str, float]) -> Iterator[CandidateClaim]:
    """The valid claims that differ by one step in one number."""
    form = claim_type(candidate.family)
    for field, step in steps.items():
        for side in (-step, step):
            claim = candidate.claim | {field: round(candidate.claim[field] + side, 4)}
            try:
                form.parse(claim)
            except AuditgameError:
                continue  # The number has left its bounds.
            yield CandidateClaim(candidate.family, claim)
