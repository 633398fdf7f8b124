"""Baseline: the base rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.challenges.pack import INNOCENTS
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

BASE_RATE = 1 - sum(INNOCENTS) / 2
"""The share of flawed models in the middle of the range that packs draw it from."""


class Prior(Auditor):
    """The share of flawed models that packs have on average, and no family.

    It looks at nothing, so it is what any other auditor has to beat.
    """

    name = "prior"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """The base rate."""
        return Diagnosis(p_flawed=BASE_RATE, notes="The base rate of flawed models.")
