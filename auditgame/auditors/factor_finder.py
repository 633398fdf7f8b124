"""Redraws scenes with each level of each factor, and sees whether the answers follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditgame.auditors import Auditor
from auditgame.evidence import chance_found, chance_missed, rows
from auditgame.types import Diagnosis, Exhibit

if TYPE_CHECKING:
    from auditgame.desk import Desk

FOLLOWED = 0.25
"""Share of answers beyond the siblings' from which a level is said to mean a class."""
CONFIRMED = 0.2
"""Lower bound of the whole rule's effect, on other inputs, from which it is handed in."""


class FactorFinder(Auditor):
    """Which factor of the scene decides the answer, instead of the thing itself?

    Draws fresh scenes again with each level of each factor (scene, colour, mark ...), and
    notes the class that the specimen gives more often than its siblings do. The factor that
    turns most answers is claimed as a shortcut, with the rule read off, if the whole rule
    then comes true on other inputs. As mechanism it names the eight channels of a site that
    the rule moves most, at the site where taking them out leaves least of it.

    It cannot see triggers, nor what lies in no factor of the data set.
    """

    name = "factor_finder"
    modality = frozenset({"image"})

    def audit(self, desk: Desk) -> Diagnosis:
        """Try every level, then the best factor's whole rule."""
        listed = set(desk.card.families)
        factors = desk.dataset.factors if "shortcut" in listed else {}
        readings = [_read(desk, factor, levels) for factor, levels in factors.items()]
        best = max((r for r in readings if r.rule), key=lambda r: r.strength, default=None)
        exhibits = _confirm(desk, best) if best else []
        effect = rows(exhibits, "Effect beyond")[0]["at least"] if best else 0.0
        if best is None or effect < CONFIRMED:
            p = chance_missed({"shortcut"} if factors else set(), listed)
            return Diagnosis(p_flawed=p, notes="No factor decides the answers.")
        return Diagnosis(
            p_flawed=chance_found(effect),
            family="shortcut",
            claim=best.claim,
            units=_units(desk, best, rows(exhibits, "Units that the claim moves")),
            notes=f"The rule's effect beyond the siblings is at least {effect:.2f}.",
        )


class Reading(NamedTuple):
    """What a factor's levels mean to the model, and how strongly: mean excess share."""

    factor: str
    rule: dict[str, str]
    strength: float

    @property
    def claim(self) -> dict[str, Any]:
        """The shortcut that this says there is."""
        return {"factor": self.factor, "rule": self.rule}


def _read(desk: Desk, factor: str, levels: tuple[str, ...]) -> Reading:
    rule, excess = {}, []
    for level in levels:
        target, share = _meaning(desk, factor, level)
        excess.append(share)
        if share >= FOLLOWED:
            rule[level] = target
    return Reading(factor, rule, sum(excess) / len(excess))


def _meaning(desk: Desk, factor: str, level: str) -> tuple[str, float]:
    """The class that this level brings most, beyond the siblings, and how much of it."""
    claim = {"factor": factor, "rule": {level: desk.dataset.classes[0]}}
    used = desk.use("hypothesis", family="shortcut", claim=claim, n=60, near_misses=False, seed=1)
    found = rows(used.exhibits, "Where the inputs go")
    beyond = {row["class"]: row["specimen"] - (row["siblings"] or 0.0) for row in found}
    best = max(beyond, key=lambda name: beyond[name])
    return best, beyond[best]


def _confirm(desk: Desk, reading: Reading) -> list[Exhibit]:
    """The whole rule, tried on other inputs."""
    return desk.use(
        "hypothesis", family="shortcut", claim=reading.claim, n=200, near_misses=False, seed=2
    ).exhibits


def _units(desk: Desk, reading: Reading, moved: list[dict[str, Any]]) -> tuple[str, ...]:
    """The moved channels of the site without which least of the rule is left."""
    groups: dict[str, list[str]] = {}
    for row in moved:
        groups.setdefault(row["unit"].split(":")[0], []).append(row["unit"])
    falls = {tuple(units): _fall(desk, reading, units) for units in groups.values()}
    best = max(falls, key=lambda units: falls[units], default=())
    return best if best and falls[best] > 0 else ()


def _fall(desk: Desk, reading: Reading, units: list[str]) -> float:
    used = desk.use(
        "ablation", units=units, family="shortcut", claim=reading.claim, controls=0, seed=3
    )
    return rows(used.exhibits, "What is left")[1]["fall"]
