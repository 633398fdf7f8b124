"""Detector for shortcuts: the rule by which a factor's levels decide the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    measure_candidate,
)
from auditgame.exhibits.reading import rows

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

FOLLOWED = 0.25
"""Excess share of answers from which a level is part of the rule."""
WRITTEN = "word"
"""The factor whose levels are written words: its shortcut is `typographic`, where offered."""


class FactorReading(NamedTuple):
    """The rule of a factor as a claim, and its strength: the mean excess share."""

    candidate: CandidateClaim
    strength: float


def read(session: AuditSession, family: str, factor: str) -> FactorReading:
    """The rule by which a factor decides the answer; empty where no level does."""
    levels = session.dataset.factors[factor]
    meanings = {level: _meaning(session, factor, level) for level in levels}
    rule = {level: target for level, (target, share) in meanings.items() if share >= FOLLOWED}
    strength = sum(share for _, share in meanings.values()) / len(levels)
    return FactorReading(CandidateClaim(family, {"factor": factor, "rule": rule}), strength)


def _meaning(session: AuditSession, factor: str, level: str) -> tuple[str, float]:
    """The class with the largest excess share at this level, and that share."""
    claim = {"factor": factor, "rule": {level: session.dataset.classes[0]}}
    used = session.run_tool(
        "hypothesis", family="shortcut", claim=claim, n=60, near_misses=False, seed=1
    )
    found = rows(used.exhibits, "destinations")
    beyond = {row["class"]: row["specimen"] - (row["reference_models"] or 0.0) for row in found}
    most = max(beyond, key=lambda name: beyond[name])
    return most, beyond[most]


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The strongest rule of each offered family."""
    found: dict[str, list[FactorReading]] = {}
    for factor in evidence.session.dataset.factors:
        written = factor == WRITTEN and evidence.listed("typographic")
        family = "typographic" if written else "shortcut"
        if evidence.listed(family):
            found.setdefault(family, []).append(read(evidence.session, family, factor))
    for readings in found.values():
        strongest = max(readings, key=lambda reading: reading.strength)
        if strongest.candidate.claim["rule"]:
            yield measure_candidate(evidence.session, strongest.candidate)


SHORTCUT_RULES = Detector(frozenset({"shortcut", "typographic"}), detect)
