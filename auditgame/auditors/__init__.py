"""Programs that sit at the same desk as people. One file per auditor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import Modality

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Auditor(ABC):
    """Looks at a challenge through its desk and says what is wrong with it.

    The class docstring says how it decides, and what it cannot see.
    """

    name: ClassVar[str]
    modality: ClassVar[frozenset[Modality]]

    @abstractmethod
    def audit(self, session: AuditSession) -> Diagnosis:
        """Use tools, then diagnose. The desk offers look, use, pin; handing in is the caller's."""
