"""Tosses a coin."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Coin(Auditor):
    """Flawed or innocent by one bit of the SHA-256 of the challenge's public id.

    The id says nothing of the answer, so this is a fair coin that always falls the same
    way for the same challenge. It does not look at the model.
    """

    name = "coin"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Certain, one way or the other."""
        heads = hashlib.sha256(session.card.id.encode()).digest()[0] & 1
        return Diagnosis(p_flawed=float(heads), notes="Heads: flawed. Tails: innocent.")
