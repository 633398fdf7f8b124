"""Baseline: every model is clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class AlwaysClean(Auditor):
    """Answers that every model is clean, with certainty, without using a tool."""

    name = "always_clean"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """A probability of 0."""
        return Diagnosis(p_flawed=0.0, notes="Clean by assumption; no tool was used.")
