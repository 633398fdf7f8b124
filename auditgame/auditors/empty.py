"""Baseline: the empty diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Empty(Auditor):
    """Even odds, no family, no claim: zero points on every model."""

    name = "empty"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """The empty diagnosis."""
        return Diagnosis()
