"""How far this visitor is with a challenge."""

from __future__ import annotations

from typing import NamedTuple

from auditgame.schema.cards import Card
from auditgame.schema.results import Receipt
from auditgame.ui.session import game, player

STATES = ("not started", "draft", "submitted")


class CaseStatus(NamedTuple):
    """One of STATES, a sentence about it in Markdown, and the receipts of all attempts."""

    state: str
    description: str
    receipts: tuple[Receipt, ...] = ()


def case_status(card: Card) -> CaseStatus:
    """Not started, draft or submitted; with the points of the attempt that counts."""
    ledger, visitor = game().ledger, player()
    receipts = tuple(ledger.receipts(visitor, card.id))
    if receipts:
        first = receipts[0].score
        points = f"**{first.points:.0f}** of {first.possible:.0f} points"
        return CaseStatus("submitted", points, receipts)
    if ledger.draft(visitor, card.id):
        return CaseStatus("draft", "Draft saved")
    return CaseStatus("not started", "Not started")
