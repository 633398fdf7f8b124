"""From a handful of claims to the best one: try them all on few inputs, then make it finer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from auditgame.auditors.detectors import CandidateClaim, MeasuredClaim, measure_candidate
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.schema.errors import AuditgameError

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

COARSE, FINE = 24, 80
"""Inputs for a claim among many, and for one that is made finer."""
FINALISTS = 2
"""So many are made finer."""
PROMISING = 0.25
"""Effect on few inputs from which a claim is looked at again."""
BETTER = 0.02
"""A step must gain so much."""


def finest(
    session: AuditSession, suspects: Iterable[CandidateClaim], steps: Mapping[str, float]
) -> Iterator[MeasuredClaim]:
    """The best of these claims, after the most promising were made finer."""
    tried = sorted(
        (measure_candidate(session, one, COARSE) for one in suspects), key=lambda one: -one.effect
    )
    hopeful = [one for one in tried[:FINALISTS] if one.effect >= PROMISING]
    finer = [
        climb(session, measure_candidate(session, one.suspect, FINE), steps) for one in hopeful
    ]
    if finer:
        yield max(finer, key=lambda one: one.effect)


def climb(session: AuditSession, start: MeasuredClaim, steps: Mapping[str, float]) -> MeasuredClaim:
    """From claim to better claim, one number one step up or down at a time."""
    now = start
    while True:
        near = [measure_candidate(session, one, FINE) for one in neighbours(now.suspect, steps)]
        top = max(near, key=lambda one: one.effect, default=now)
        if top.effect < now.effect + BETTER:
            return now
        now = top


def neighbours(suspect: CandidateClaim, steps: Mapping[str, float]) -> Iterator[CandidateClaim]:
    """The claims that differ from this one by one step in one number."""
    form = claim_type(suspect.family)
    for field, step in steps.items():
        for side in (-step, step):
            claim = suspect.claim | {field: round(suspect.claim[field] + side, 4)}
            try:
                form.parse(claim)
            except AuditgameError:
                continue  # The number has left its bounds.
            yield CandidateClaim(suspect.family, claim)
