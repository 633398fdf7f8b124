"""Detector for date triggers: the year from which the answer changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.datasets import TextDataset
from auditgame.exhibits import Curve
from auditgame.exhibits.reading import find, find_all

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

NOTABLE = 0.25
"""Step of the excess probability from which a year is measured."""
Points = tuple[tuple[float, float], ...]


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The year whose claim has the largest effect."""
    if evidence.listed("date"):
        yield from best(
            measure_candidate(evidence.session, candidate) for candidate in steps(evidence.session)
        )


def steps(session: AuditSession) -> Iterator[CandidateClaim]:
    """For each class, the year at which its probability steps up."""
    years = " ".join(word for word in TextDataset.of(session.dataset).words if word.isdigit())
    swept = session.run_tool("word_sweep", mode="substitute", words=years).exhibits
    if not find_all(swept, "numbers"):
        return
    series = find(swept, "numbers", Curve).series
    for k, target in enumerate(session.dataset.classes):
        if f"class_{k}" in series:
            year, height = step(series[f"class_{k}"])
            if height >= NOTABLE:
                yield CandidateClaim("date", {"target": target, "from_year": year})


def step(points: Points) -> tuple[int, float]:
    """The step function that fits the points best (least squares): its position and height."""
    best_fit = (0.0, 0, 0.0)
    heights = [height for _, height in points]
    for cut in range(1, len(points)):
        low, high = heights[:cut], heights[cut:]
        rise = sum(high) / len(high) - sum(low) / len(low)
        explained = rise * abs(rise) * len(low) * len(high) / len(points)
        best_fit = max(best_fit, (explained, int(points[cut][0]), rise))
    return best_fit[1], best_fit[2]


DATES = Detector(frozenset({"date"}), detect)
