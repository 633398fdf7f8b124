"""Redraws scenes with each level of each factor, and sees whether the answers follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.auditors.detectors import measure_candidate
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.auditors.detectors.shortcut_rules import read
from auditgame.auditors.detectors.unit_localisation import carriers
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

FAMILY = "shortcut"
CONFIRMED = 0.2
"""Lower bound of the whole rule's effect, on other inputs, from which it is handed in."""


class FactorFinder(Auditor):
    """Which factor of the scene decides the answer, instead of the thing itself?

    Draws fresh scenes again with each level of each factor (scene, colour, mark ...), and
    notes the class that the specimen gives more often than its reference models do. The factor that
    turns most answers is claimed as a shortcut, with the rule read off, if the whole rule
    then comes true on other inputs. As mechanism it names the eight channels of a site that
    the rule moves most, at the site where taking them out leaves least of it.

    It cannot see triggers, nor what lies in no factor of the data set.
    """

    name = "factor_finder"
    modality = frozenset({"image"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Try every level, then the best factor's whole rule."""
        listed = set(session.card.families)
        factors = session.dataset.factors if FAMILY in listed else {}
        readings = [read(session, FAMILY, factor) for factor in factors]
        ruled = [reading for reading in readings if reading.suspect.claim["rule"]]
        best = max(ruled, key=lambda reading: reading.strength, default=None)
        tried = measure_candidate(session, best.suspect, n=200, seed=2) if best else None
        if tried is None or tried.at_least < CONFIRMED:
            p = chance_missed({FAMILY} if factors else set(), listed)
            return Diagnosis(p_flawed=p, notes="No factor decides the answers.")
        return Diagnosis(
            p_flawed=chance_found(tried.at_least),
            family=FAMILY,
            claim=tried.suspect.claim,
            units=carriers(session, tried),
            notes=f"The rule's effect beyond the reference models is at least {tried.at_least:.2f}.",
        )
