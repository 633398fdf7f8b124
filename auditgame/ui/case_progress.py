"""How far is this visitor with a challenge?"""

from __future__ import annotations

from typing import NamedTuple

from auditgame.schema.cards import Card
from auditgame.schema.results import Receipt
from auditgame.ui.session import game, player

STATES = ("not tried", "draft", "handed in")


class CaseStatus(NamedTuple):
    """The state of a case, and the same in words."""

    state: str
    words: str
    receipts: tuple[Receipt, ...] = ()


def case_status(card: Card) -> CaseStatus:
    """Not tried, draft or handed in; with the points of the attempt that counts."""
    ledger, me = game().ledger, player()
    receipts = tuple(ledger.receipts(me, card.id))
    if receipts:
        first = receipts[0].score
        return CaseStatus(
            "handed in", f"**{first.points:.0f}** of {first.possible:.0f} points", receipts
        )
    if ledger.draft(me, card.id):
        return CaseStatus("draft", "Draft saved")
    return CaseStatus("not tried", "Not tried yet")
