"""Finds every model innocent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class AlwaysClean(Auditor):
    """Is certain, without looking, that nothing is wrong. Blind to every flaw."""

    name = "always_clean"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Innocent, for certain."""
        return Diagnosis(p_flawed=0.0, notes="Innocent until proven otherwise; no proof sought.")
