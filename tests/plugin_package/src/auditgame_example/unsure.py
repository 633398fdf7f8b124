"""The auditor `unsure`: reports a flaw where the model is unsure of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.exhibits import Grid
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class Unsure(Auditor):
    """Is the model unsure of its answers to images of any class?

    Asks the tool `confidence` of the same package. It misses flaws of models that are sure.
    """

    name = "unsure"
    modality = frozenset({"image"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """A flaw is likely where the least sure class is below 0.7."""
        (grid,) = session.run_tool("confidence").exhibits
        if not isinstance(grid, Grid):
            return Diagnosis()
        least = min(row[0] for row in grid.values)
        return Diagnosis(p_flawed=0.7 if least < 0.7 else 0.4, notes=f"least sure: {least:.2f}")
