"""Baseline: a fair coin."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Coin(Auditor):
    """Flawed or clean by one bit of the SHA-256 of the challenge's public id.

    The id does not depend on the answer, so this is a fair coin with the same result
    whenever it is run on the same challenge. It uses no tool.
    """

    name = "coin"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """A probability of 0 or 1."""
        heads = hashlib.sha256(session.card.id.encode()).digest()[0] & 1
        return Diagnosis(p_flawed=float(heads), notes="Heads: flawed. Tails: innocent.")
