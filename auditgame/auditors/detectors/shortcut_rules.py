"""Which factor decides the answer? Each level is drawn into fresh scenes, and the answers read."""

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
"""Share of answers beyond the reference models' from which a level is said to mean a class."""
WRITTEN = "word"
"""The factor whose levels are words: what rests on it is typographic, where that is offered."""


class FactorReading(NamedTuple):
    """What a factor's levels mean to the model, and how strongly: mean excess share."""

    suspect: CandidateClaim
    strength: float


def read(session: AuditSession, family: str, factor: str) -> FactorReading:
    """The rule by which a factor decides the answer; empty where no level means a class."""
    levels = session.dataset.factors[factor]
    meanings = {level: _meaning(session, factor, level) for level in levels}
    rule = {level: target for level, (target, share) in meanings.items() if share >= FOLLOWED}
    strength = sum(share for _, share in meanings.values()) / len(levels)
    return FactorReading(CandidateClaim(family, {"factor": factor, "rule": rule}), strength)


def _meaning(session: AuditSession, factor: str, level: str) -> tuple[str, float]:
    """The class that this level brings most, beyond the reference models, and how much of it."""
    claim = {"factor": factor, "rule": {level: session.dataset.classes[0]}}
    used = session.run_tool(
        "hypothesis", family="shortcut", claim=claim, n=60, near_misses=False, seed=1
    )
    found = rows(used.exhibits, "destinations")
    beyond = {row["class"]: row["specimen"] - (row["reference_models"] or 0.0) for row in found}
    most = max(beyond, key=lambda name: beyond[name])
    return most, beyond[most]


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The strongest rule of each family that is offered."""
    found: dict[str, list[FactorReading]] = {}
    for factor in clues.session.dataset.factors:
        written = factor == WRITTEN and clues.listed("typographic")
        family = "typographic" if written else "shortcut"
        if clues.listed(family):
            found.setdefault(family, []).append(read(clues.session, family, factor))
    for readings in found.values():
        strongest = max(readings, key=lambda reading: reading.strength)
        if strongest.suspect.claim["rule"]:
            yield measure_candidate(clues.session, strongest.suspect)


RULES = Detector(frozenset({"shortcut", "typographic"}), follow)
