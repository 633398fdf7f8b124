"""Which units carry a claim that came true?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.evidence import rows
from auditgame.leads import Suspect, Tried

if TYPE_CHECKING:
    from auditgame.desk import Desk


def carriers(desk: Desk, tried: Tried) -> tuple[str, ...]:
    """The moved channels of the site without which least of the claim is left."""
    groups: dict[str, list[str]] = {}
    for unit in tried.moved:
        groups.setdefault(unit.split(":")[0], []).append(unit)
    falls = {tuple(units): _fall(desk, tried.suspect, units) for units in groups.values()}
    found = max(falls, key=lambda units: falls[units], default=())
    return found if found and falls[found] > 0 else ()


def _fall(desk: Desk, suspect: Suspect, units: list[str]) -> float:
    used = desk.use(
        "ablation",
        units=units,
        family=suspect.family,
        claim=suspect.claim,
        controls=0,
        seed=3,
    )
    return rows(used.exhibits, "What is left")[1]["fall"]
