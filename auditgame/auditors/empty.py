"""Hands in an empty form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Empty(Auditor):
    """Says nothing: even odds, no family, no claim. Worth zero on every model."""

    name = "empty"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """The empty diagnosis."""
        return Diagnosis()
