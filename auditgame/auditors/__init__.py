"""The contract of an auditor: a program that audits a challenge. One file per auditor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import Modality

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Auditor(ABC):
    """A program that uses the tools of an audit session and returns a diagnosis.

    The class docstring says how it decides, and what it cannot see.
    """

    name: ClassVar[str]
    modality: ClassVar[frozenset[Modality]]

    @abstractmethod
    def audit(self, session: AuditSession) -> Diagnosis:
        """Use the session's tools, then diagnose. The caller submits the diagnosis."""
