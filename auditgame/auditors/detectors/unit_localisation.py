"""Localisation of the units that carry a confirmed claim, by ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors.detectors import CandidateClaim, MeasuredClaim
from auditgame.evaluation.mechanism import allowed_sites, allowed_units
from auditgame.exhibits.reading import rows

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

NOTABLE, MORE = 0.2, 0.02
"""Least fall of the claim for one unit, and least additional fall for a second one."""


def carriers(session: AuditSession, tried: MeasuredClaim) -> tuple[str, ...]:
    """The shifted channels of the site whose ablation removes most; in texts, heads or MLPs."""
    if session.specimen.modality == "text":
        return components(session, tried.candidate)
    groups: dict[str, list[str]] = {}
    for unit in tried.moved:
        groups.setdefault(unit.split(":")[0], []).append(unit)
    falls = {tuple(units): _fall(session, tried.candidate, units) for units in groups.values()}
    found = max(falls, key=lambda units: falls[units], default=())
    return found if found and falls[found] > 0 else ()


def components(session: AuditSession, candidate: CandidateClaim) -> tuple[str, ...]:
    """The one or two heads or MLPs whose restoration removes most of the claim, or none."""
    specimen = session.specimen
    pool = allowed_units(specimen, allowed_sites(specimen))
    falls: dict[tuple[str, ...], float] = {
        (unit,): _fall(session, candidate, [unit]) for unit in pool
    }
    first = max(falls, key=lambda units: falls[units])
    for unit in pool:
        if unit not in first:
            falls[(*first, unit)] = _fall(session, candidate, [*first, unit])
    best = max(falls, key=lambda units: falls[units])
    if falls[best] < NOTABLE:
        return ()
    return best if falls[best] > falls[first] + MORE else first


def _fall(session: AuditSession, candidate: CandidateClaim, units: list[str]) -> float:
    used = session.run_tool(
        "ablation",
        units=units,
        family=candidate.family,
        claim=candidate.claim,
        controls=0,
        seed=3,
    )
    return rows(used.exhibits, "claim_left")[1]["fall"]
