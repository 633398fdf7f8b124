"""Finds shortcuts: renders scenes again with each level of each factor."""

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
"""Lower bound of the whole rule's effect, on other inputs, from which it is submitted."""


class FactorFinder(Auditor):
    """Which factor of the scene decides the answer, instead of the object?

    Renders fresh scenes again with each level of each factor (scene, colour, mark ...), and
    records the class that the specimen answers more often than the reference models do. The
    factor that changes most answers is claimed as a shortcut, with its rule, if the whole rule
    is confirmed on other inputs. As mechanism it names the eight channels of one site with the
    largest shift, at the site where ablating them removes most of the effect.

    It cannot find triggers, nor what is no factor of the data set.
    """

    name = "factor_finder"
    modality = frozenset({"image"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Measure every level, then the whole rule of the strongest factor."""
        listed = set(session.card.families)
        factors = session.dataset.factors if FAMILY in listed else {}
        readings = [read(session, FAMILY, factor) for factor in factors]
        ruled = [reading for reading in readings if reading.candidate.claim["rule"]]
        best = max(ruled, key=lambda reading: reading.strength, default=None)
        tried = measure_candidate(session, best.candidate, n=200, seed=2) if best else None
        if tried is None or tried.at_least < CONFIRMED:
            p = chance_missed({FAMILY} if factors else set(), listed)
            return Diagnosis(p_flawed=p, notes="No factor decides the answers.")
        return Diagnosis(
            p_flawed=chance_found(tried.at_least),
            family=FAMILY,
            claim=tried.candidate.claim,
            units=carriers(session, tried),
            notes=f"Effect of the rule at least {tried.at_least:.2f} beyond the reference models.",
        )
