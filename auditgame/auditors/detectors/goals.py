"""Detector for goals: measures every position and colour that a policy may seek."""

from __future__ import annotations

from collections.abc import Iterator

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.flaws.goal import SOUGHT


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The claim with the largest effect among all corners and colours."""
    candidates = (CandidateClaim("goal", {"seeks": sought}) for sought in SOUGHT)
    yield from best(measure_candidate(evidence.session, candidate) for candidate in candidates)


GOALS = Detector(frozenset({"goal"}), detect)
