"""Inverts a trigger for every class, and compares with the reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditgame.auditors import Auditor
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.exhibits.reading import rows
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

MARGIN = 0.2
"""The index must exceed every reference model's by this much."""
FAMILY = "patch"


class InversionAuditor(Auditor):
    """Does one class have a far smaller trigger than the reference models' classes have?

    Uses the inversion tool once. Where the smallest stamp has converged and its index
    stands clear of every reference model's, it accuses the model of a patch, at the square that
    holds most of the stamp. Blind to triggers that are not small, to every proxy, and
    to text; then, or where nothing converged, it stays near even odds.
    """

    name = "inversion"
    modality = frozenset({"image"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Accuse by the calibrated index; claim the square where it lies."""
        shown = session.run_tool("inversion").exhibits
        own, *references = rows(shown, "models")
        if not references or own["converged"] != "yes":
            return Diagnosis(notes="The smallest stamp did not converge, or has no comparison.")
        margin = own["index"] - max(reference["index"] for reference in references)
        stamp = next(row for row in rows(shown, "triggers") if row["class"] == own["class"])
        words = f"Index {own['index']} for {own['class']}, {margin:+.2f} from the highest reference model."
        if margin < MARGIN:
            return Diagnosis(p_flawed=chance_missed({FAMILY}, session.card.families), notes=words)
        chance = chance_found(margin)
        if FAMILY not in session.card.families:
            return Diagnosis(p_flawed=chance, notes=words)
        return Diagnosis(p_flawed=chance, family=FAMILY, claim=_claim(stamp), notes=words)


def _claim(stamp: dict[str, Any]) -> dict[str, Any]:
    """The claim of a patch: the stamp as an opaque square."""
    return {
        "target": stamp["class"],
        "box": {side: stamp[side] for side in "xywh"},
        "pattern": [row.split() for row in stamp["pattern"].split(" / ")],
    }
