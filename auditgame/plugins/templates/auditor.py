"""The auditor `one_way`: reports a flaw where wrong answers all go to one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.exhibits import Grid
from auditgame.exhibits.reading import find
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession


class OneWay(Auditor):
    """Do wrong answers on the players' examples all go to one class?

    Counts them by class. If there are at least four, and most go to one class, there probably
    is a trigger. It misses flaws that the examples do not show, and shortcuts, whose answers on
    the examples are right.
    """

    name = "one_way"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """One tool, one count, one probability."""
        counts = self._wrong_by_class(session)
        wrong = sum(counts.values())
        if wrong < 4:
            return Diagnosis(p_flawed=0.4, notes=f"{wrong} wrong answers are too few.")
        suspect = max(counts, key=lambda name: counts[name])
        share = counts[suspect] / wrong
        p = 0.8 if share > 0.7 else 0.45
        return Diagnosis(p_flawed=p, notes=f"{share:.0%} of {wrong} go to '{suspect}'.")

    def _wrong_by_class(self, session: AuditSession) -> dict[str, float]:
        exhibits = session.run_tool("mistakes", count=1).exhibits
        grid = find(exhibits, "confusion", Grid)
        return {
            column: sum(row[at] for n, row in enumerate(grid.values) if n != at)
            for at, column in enumerate(grid.columns)
        }
