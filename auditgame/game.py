"""The facade over challenges, the ledger and standings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditgame import bundles, paths
from auditgame.ledger import Bracket, Ledger, Player
from auditgame.play.audit_session import AuditSession
from auditgame.registry import load, suggest
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Conflict, Forbidden, Invalid, NotFound
from auditgame.schema.records import digest
from auditgame.schema.results import Receipt, Reveal

if TYPE_CHECKING:
    import pandas as pd


class Game:
    """List challenges, open sessions, submit, reveal and rank. Torch loads only when needed.

    packs: folders of challenges; by default the practice pack and what was built here.
    database: an SQLAlchemy URL; by default AUDITGAME_DATABASE_URL, or SQLite in the user data.
    """

    def __init__(self, packs: Sequence[Path] | None = None, database: str | None = None) -> None:
        self._packs = [paths.practice(), paths.built()] if packs is None else list(packs)
        self.ledger = Ledger(database)
        self._import_baselines()

    def cards(self) -> list[Card]:
        """Every challenge, tutorials first."""
        order = ("tutorial", "easy", "medium", "hard")
        cards = [bundles.card(folder) for folder in self._folders().values()]
        return sorted(cards, key=lambda card: (order.index(card.tier), card.title, card.id))

    def card(self, id: str) -> Card:
        """The card of one challenge; an unknown id gets a suggestion."""
        folders = self._folders()
        if id not in folders:
            raise suggest("challenge", id, folders, NotFound)
        return bundles.card(folders[id])

    def player(self, name: str, bracket: Bracket = "human") -> Player:
        """The player of this name; a new name is registered now."""
        return self.ledger.player(name, bracket)

    def guest(self, token: str) -> Player:
        """The nameless player that this secret token identifies."""
        return self.ledger.guest(token)

    def open(self, id: str, player: Player | str = "anonymous") -> AuditSession:
        """An audit session; Unavailable where a plug-in that the challenge needs is missing."""
        card = self.card(id)
        bundles.require_plugins(card)
        auditor = self.player(player) if isinstance(player, str) else player
        return AuditSession(
            card, auditor, self.ledger, lambda diagnosis: self.submit(id, auditor, diagnosis)
        )

    def submit(self, id: str, player: Player | str, diagnosis: Diagnosis) -> Receipt:
        """Judge a diagnosis and record it. The same diagnosis again gives the same receipt.

        A new name is registered only with a valid diagnosis.
        """
        from auditgame.play import referee

        card = self.card(id)
        if isinstance(player, Player):
            known = self.ledger.find(player, id, digest(diagnosis.model_dump(mode="json")))
            if known:
                return known
            used, _ = self.ledger.attempts(player, id)
            if used >= card.attempts:
                raise Conflict(f"{id}: all {card.attempts} attempts are used")
        score = referee.judge(Path(card.path), diagnosis)
        submitter = self.player(player) if isinstance(player, str) else player
        return self.ledger.submit(submitter, id, diagnosis, score, card.attempts)

    def reveal(self, id: str, player: Player | str) -> Reveal:
        """The answer of a challenge, for a player who has submitted a diagnosis."""
        from auditgame.play import referee

        card = self.card(id)
        receipts = self.ledger.receipts(player, id)
        if not receipts:
            raise Forbidden(f"{id}: submit a diagnosis first; the key opens after it")
        return referee.reveal(Path(card.path)).model_copy(update={"receipts": tuple(receipts)})

    def standings(self) -> pd.DataFrame:
        """The ranking of all players over the practice pack."""
        from auditgame.ledger.standings import standings

        ids = [card.id for card in self.cards() if Path(card.path).parent == self._packs[0]]
        return standings(self.ledger.entries(), ids)

    def audit(self, id: str, auditor: str) -> Receipt:
        """Let an auditor play a challenge and submit its diagnosis."""
        kind = load("auditor", auditor)
        session = self.open(id, self.player(auditor, "algorithm"))
        if session.card.modality not in kind.modality:
            raise Invalid(f"auditor '{auditor}' does not fit {session.card.modality} models")
        return session.submit(kind().audit(session))

    def _folders(self) -> dict[str, Path]:
        return {
            folder.name: folder
            for pack in self._packs
            if pack.is_dir()
            for folder in sorted(pack.iterdir())
            if not folder.name.startswith(".") and (folder / bundles.MANIFEST).is_file()
        }

    def _import_baselines(self) -> None:
        """Enter what the bundled auditors submitted, so that the leaderboard is never empty."""
        if paths.baselines().is_file():
            self.ledger.import_entries(_lines(paths.baselines()))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]
