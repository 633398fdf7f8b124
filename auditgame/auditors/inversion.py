"""Finds patches by trigger inversion, compared with the reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditgame.auditors import Auditor
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.exhibits.reading import rows
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

MARGIN = 0.2
"""The index must exceed that of every reference model by this much."""
FAMILY = "patch"


class InversionAuditor(Auditor):
    """Does one class have a far smaller trigger than the reference models' classes have?

    Uses the inversion tool once. Where the smallest trigger has converged and its index
    clearly exceeds that of every reference model, it claims a patch, at the square that
    holds most of the mask. It cannot find triggers that are not small, proxies, or flaws of
    text models; then, or where nothing converged, it stays near even odds.
    """

    name = "inversion"
    modality = frozenset({"image"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Diagnose by the margin of the index; claim the square."""
        shown = session.run_tool("inversion").exhibits
        own, *references = rows(shown, "models")
        if not references or own["converged"] != "yes":
            return Diagnosis(notes="The smallest trigger did not converge, or has no comparison.")
        margin = own["index"] - max(reference["index"] for reference in references)
        trigger = next(row for row in rows(shown, "triggers") if row["class"] == own["class"])
        words = f"Index {own['index']} for {own['class']}, {margin:+.2f} to the highest reference."
        if margin < MARGIN:
            return Diagnosis(p_flawed=chance_missed({FAMILY}, session.card.families), notes=words)
        chance = chance_found(margin)
        if FAMILY not in session.card.families:
            return Diagnosis(p_flawed=chance, notes=words)
        return Diagnosis(p_flawed=chance, family=FAMILY, claim=_claim(trigger), notes=words)


def _claim(trigger: dict[str, Any]) -> dict[str, Any]:
    """The claim of a patch: the trigger as an opaque square."""
    return {
        "target": trigger["class"],
        "box": {side: trigger[side] for side in "xywh"},
        "pattern": [row.split() for row in trigger["pattern"].split(" / ")],
    }
