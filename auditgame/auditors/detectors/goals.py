"""Where does it walk, if not to the diamond?"""

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


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """Every corner, and every colour."""
    suspects = (CandidateClaim("goal", {"seeks": sought}) for sought in SOUGHT)
    yield from best(measure_candidate(clues.session, suspect) for suspect in suspects)


GOALS = Detector(frozenset({"goal"}), follow)
