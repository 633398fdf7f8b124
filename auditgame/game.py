"""The hallway: challenges on one side, the record on the other, and the doors between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditgame import bundles, paths
from auditgame.ledger import Bracket, Ledger, Player
from auditgame.ledger.standings import standings
from auditgame.play.audit_session import AuditSession
from auditgame.registry import load, suggest
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.schema.results import Receipt, Reveal

if TYPE_CHECKING:
    import pandas as pd


class Game:
    """Everything one can do: list, sit down, hand in, reveal, rank. Torch loads at a first look.

    packs: folders of challenges; by default the practice pack and what was built here.
    database: an SQLAlchemy URL; by default AUDITGAME_DATABASE_URL, or SQLite in the user data.
    """

    def __init__(self, packs: Sequence[Path] | None = None, database: str | None = None) -> None:
        self._packs = [paths.practice(), paths.built()] if packs is None else list(packs)
        self.ledger = Ledger(database)
        self._seat_baselines()

    def cards(self) -> list[Card]:
        """Every challenge there is, tutorials first."""
        order = ("tutorial", "easy", "medium", "hard")
        found = [bundles.card(folder) for folder in self._folders().values()]
        return sorted(found, key=lambda card: (order.index(card.tier), card.title, card.id))

    def card(self, id: str) -> Card:
        """One challenge; an unknown id gets a suggestion."""
        folders = self._folders()
        if id not in folders:
            raise suggest("challenge", id, folders)
        return bundles.card(folders[id])

    def player(self, name: str, bracket: Bracket = "human") -> Player:
        """The player of this name, entered now if new."""
        return self.ledger.player(name, bracket)

    def guest(self, token: str) -> Player:
        """The nameless player that this secret token stands for."""
        return self.ledger.guest(token)

    def open(self, id: str, player: Player | str = "anonymous") -> AuditSession:
        """A desk at a challenge."""
        who = self.player(player) if isinstance(player, str) else player
        return AuditSession(
            self.card(id), who, self.ledger, lambda said: self.submit(id, who, said)
        )

    def submit(self, id: str, player: Player | str, diagnosis: Diagnosis) -> Receipt:
        """Judge a diagnosis and record it. The same diagnosis again gives the same receipt.

        A new name enters the ledger only with a diagnosis that is in order.
        """
        from auditgame.play import referee

        card = self.card(id)
        if isinstance(player, Player):
            said = digest(diagnosis.model_dump(mode="json"))
            known = self.ledger.find(player, id, said)
            if known:
                return known
            used, most = self.ledger.attempts(player, id)
            if most and used >= most:
                raise AuditgameError(f"{id}: all {most} attempts are used")
        score = referee.judge(Path(card.path), diagnosis)
        who = self.player(player) if isinstance(player, str) else player
        return self.ledger.submit(who, id, diagnosis, score, card.attempts)

    def reveal(self, id: str, player: Player | str) -> Reveal:
        """What was in the model, once this player has handed in."""
        from auditgame.play import referee

        card = self.card(id)
        receipts = self.ledger.receipts(player, id)
        if not receipts:
            raise AuditgameError(f"{id}: hand in a diagnosis first; the key opens after it")
        return referee.reveal(Path(card.path)).model_copy(update={"receipts": tuple(receipts)})

    def standings(self) -> pd.DataFrame:
        """Who stands where over the practice pack."""
        ids = [card.id for card in self.cards() if Path(card.path).parent == self._packs[0]]
        return standings(self.ledger.entries(), ids)

    def audit(self, id: str, auditor: str) -> Receipt:
        """Let a bundled auditor play a challenge and hand in."""
        kind = load("auditor", auditor)
        session = self.open(id, self.player(auditor, "algorithm"))
        if session.card.modality not in kind.modality:
            raise AuditgameError(f"auditor '{auditor}' does not fit {session.card.modality} models")
        return session.submit(kind().audit(session))

    def _folders(self) -> dict[str, Path]:
        return {
            folder.name: folder
            for pack in self._packs
            if pack.is_dir()
            for folder in sorted(pack.iterdir())
            if not folder.name.startswith(".") and (folder / bundles.MANIFEST).is_file()
        }

    def _seat_baselines(self) -> None:
        if paths.baselines().is_file():
            self.ledger.import_entries(_lines(paths.baselines()))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]
