"""From which year on does the verdict change? Every year is put in the place of the year."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    TestedClaim,
    best,
    test_candidate,
)
from auditgame.exhibits import Curve

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

NOTABLE = 0.25
"""Step of a class's probability, beyond the siblings, from which a year is worth a test."""
Points = tuple[tuple[float, float], ...]


def follow(clues: Evidence) -> Iterator[TestedClaim]:
    """The best year from which on texts go to one class."""
    if clues.listed("date"):
        yield from best(test_candidate(clues.session, suspect) for suspect in steps(clues.session))


def steps(session: AuditSession) -> Iterator[CandidateClaim]:
    """For each class, the year from which its probability steps up."""
    years = " ".join(word for word in session.dataset.words if word.isdigit())
    swept = session.run_tool("word_sweep", mode="substitute", words=years).exhibits
    for curve in swept:
        if isinstance(curve, Curve):
            for target, points in curve.series.items():
                year, height = step(points)
                if height >= NOTABLE:
                    yield CandidateClaim("date", {"target": target, "from_year": year})


def step(points: Points) -> tuple[int, float]:
    """Where do two levels fit the points best (least squares), and how high is the step?"""
    best_fit = (0.0, 0, 0.0)
    heights = [height for _, height in points]
    for cut in range(1, len(points)):
        low, high = heights[:cut], heights[cut:]
        rise = sum(high) / len(high) - sum(low) / len(low)
        explained = rise * abs(rise) * len(low) * len(high) / len(points)
        best_fit = max(best_fit, (explained, int(points[cut][0]), rise))
    return best_fit[1], best_fit[2]


DATES = Detector(frozenset({"date"}), follow)
