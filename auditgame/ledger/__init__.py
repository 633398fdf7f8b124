"""The ledger: players, their sessions, their submissions and the scores of these.

Standings are derived from `entries()` and never stored. Times are UTC, ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from auditgame import host
from auditgame.exhibits import Exhibit
from auditgame.ledger import entries as records
from auditgame.ledger import players, session_records, submissions
from auditgame.ledger.entries import Entry
from auditgame.ledger.players import Bracket, Player
from auditgame.ledger.session_records import JournalRow, Pin, Question
from auditgame.ledger.storage import (
    CaseKey,
    now,
    open_engine,
    reading,
    writing,
)
from auditgame.ledger.submissions import SCORER, diagnosis_digest
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Receipt, Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Bracket",
    "Entry",
    "JournalRow",
    "Ledger",
    "Pin",
    "Player",
    "Question",
    "diagnosis_digest",
]


class Ledger:
    """The ledger in the database at this URL, by default `host.database_url()`.

    Safe to share between threads, and to open from several processes at once. A player may
    be given as a `Player` or by name. Every error is an AuditgameError and writes nothing.
    """

    def __init__(self, url: str | None = None) -> None:
        self._engine = open_engine(url or host.database_url())

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _reading(
        self, player: Player | str, challenge: str
    ) -> Iterator[tuple[Connection, CaseKey]]:
        with reading(self._engine) as connection:
            yield connection, CaseKey(players.identify(connection, player).id, challenge)

    @contextmanager
    def _writing(
        self, player: Player | str, challenge: str
    ) -> Iterator[tuple[Connection, CaseKey]]:
        with writing(self._engine) as connection:
            yield connection, CaseKey(players.identify(connection, player).id, challenge)

    # ------------------------------------------------------------- players

    def player(self, name: str, bracket: Bracket = "human") -> Player:
        """The player of this name; a new name is registered, in this bracket."""
        with writing(self._engine) as connection:
            return players.get_or_create(connection, name, bracket, now())

    def guest(self, token: str) -> Player:
        """The player that this secret cookie token identifies; only its digest is stored."""
        with writing(self._engine) as connection:
            return players.guest(connection, token, now())

    def rename(self, player: Player | str, name: str) -> Player:
        """Give a player another name: 1 to 40 printable characters, no other player's."""
        with writing(self._engine) as connection:
            return players.rename(connection, player, name)

    def declare(self, player: Player | str, bracket: Bracket) -> Player:
        """Set the bracket of a player; possible until the first submission."""
        with writing(self._engine) as connection:
            return players.declare(connection, player, bracket)

    # ------------------------------------------------------------ sessions

    def draft(self, player: Player | str, challenge: str) -> dict[str, Any] | None:
        """The diagnosis that this player last saved; None where nothing was saved."""
        with self._reading(player, challenge) as where:
            return session_records.draft(*where)

    def save_draft(self, player: Player | str, challenge: str, data: dict[str, Any]) -> None:
        """Save an unfinished diagnosis; it replaces the one saved before."""
        with self._writing(player, challenge) as where:
            session_records.save_draft(*where, data)

    def result(self, digest: str) -> list[Exhibit] | None:
        """The exhibits stored under this digest of bundle, tool and options, if any."""
        with reading(self._engine) as connection:
            return session_records.result(connection, digest)

    def keep_result(self, digest: str, exhibits: list[Exhibit]) -> None:
        """Store the exhibits of a tool, so that the same run is answered at once."""
        with writing(self._engine) as connection:
            session_records.keep_result(connection, digest, exhibits)

    def record_use(
        self,
        player: Player | str,
        challenge: str,
        question: Question,
        digest: str,
        cost: int,
        budget: int | None = None,
    ) -> int:
        """Enter a run of a tool in the journal; the queries charged for it.

        digest: under which the exhibits are kept. A question that this player asked of this
        challenge before is free. AuditgameError, naming what is left, where the charge would
        exceed `budget`.
        """
        with self._writing(player, challenge) as where:
            return session_records.record_use(*where, question, digest, cost, budget)

    def asked(self, player: Player | str, challenge: str, question: Question) -> bool:
        """Did this player ask this question of this challenge before?"""
        with self._reading(player, challenge) as where:
            return session_records.asked(*where, question)

    def spent(self, player: Player | str, challenge: str) -> int:
        """The queries that this player has spent on this challenge."""
        with self._reading(player, challenge) as where:
            return session_records.spent(*where)

    def journal(self, player: Player | str, challenge: str) -> list[JournalRow]:
        """The tool runs of this player on this challenge, in order."""
        with self._reading(player, challenge) as where:
            return session_records.uses(*where)

    def pin(self, player: Player | str, challenge: str, ref: Any, title: str) -> None:
        """Keep an exhibit as evidence; `ref` is any JSON that identifies it. Again: a new title."""
        with self._writing(player, challenge) as where:
            session_records.pin(*where, ref, title)

    def unpin(self, player: Player | str, challenge: str, ref: Any) -> None:
        """Remove an exhibit from the evidence, if it is pinned."""
        with self._writing(player, challenge) as where:
            session_records.unpin(*where, ref)

    def pins(self, player: Player | str, challenge: str) -> list[Pin]:
        """The evidence that this player pinned, oldest first."""
        with self._reading(player, challenge) as where:
            return session_records.evidence(*where)

    # ------------------------------------------------------------ submissions

    def attempts(self, player: Player | str, challenge: str) -> tuple[int, int]:
        """The attempts used and those allowed; (0, 0) before the first submission."""
        with self._reading(player, challenge) as where:
            return submissions.attempts(*where)

    def find(self, player: Player | str, challenge: str, diagnosis_digest: str) -> Receipt | None:
        """The receipt of this diagnosis, if it was submitted (and so judged) before."""
        with self._reading(player, challenge) as where:
            found = submissions.known(*where, diagnosis_digest)
            return None if found is None else submissions.receipts(*where, found)[0]

    def submit(
        self,
        player: Player | str,
        challenge: str,
        diagnosis: Diagnosis,
        score: Score,
        max_attempts: int,
        scorer: str = SCORER,
    ) -> Receipt:
        """Record a judged submission: attempt, diagnosis, score and log, all or nothing.

        The same diagnosis again returns its first receipt and uses no attempt.
        AuditgameError where all attempts are used, or a number is not finite.
        """
        diagnosis, score = submissions.checked(diagnosis, score)
        with self._writing(player, challenge) as where:
            id = submissions.record(*where, diagnosis, score, max_attempts, scorer)
            return submissions.receipts(*where, id)[0]

    def rescore(self, submission: int, score: Score, scorer: str) -> None:
        """Add the score of another version of the scorer; the old score stays in the ledger."""
        _, score = submissions.checked(Diagnosis(), score)
        with writing(self._engine) as connection:
            submissions.rescore(connection, submission, score, scorer)

    def receipts(self, player: Player | str, challenge: str) -> list[Receipt]:
        """The receipts of this player on this challenge, in order of attempts."""
        with self._reading(player, challenge) as where:
            return submissions.receipts(*where)

    # ---------------------------------------------------------- all entries

    def entries(self) -> pd.DataFrame:
        """Every submission with its newest score, one row each; all tables derive from this.

        Columns: `auditgame.ledger.entries.COLUMNS`. `queries` and `evidence` are those at the
        time of the submission. Only for the host while ranked challenges run: `possible` tells
        flawed from innocent.
        """
        with reading(self._engine) as connection:
            return records.frame(connection)

    def export(self, folder: Path) -> list[Path]:
        """Write entries.csv (the table) and entries.jsonl (for `import_entries`); the files."""
        with reading(self._engine) as connection:
            return records.export(connection, folder)

    def import_entries(self, entries: Iterable[dict[str, Any]]) -> int:
        """Add entries of another ledger, such as the baseline auditors'; the number of new ones.

        All or nothing; entries that the ledger has already stay as they are. AuditgameError
        names the entry that is invalid.
        """
        with writing(self._engine) as connection:
            return records.import_all(connection, entries)

    def head(self) -> str:
        """The newest hash of the log: once published, it makes any later change detectable."""
        with reading(self._engine) as connection:
            return submissions.head(connection)

    def verify_chain(self, published: str | None = None) -> str:
        """The newest hash, if the hash chain is valid; AuditgameError where it is broken.

        published: an earlier hash that must still be in the chain; this detects removed rows at
        the end, too.
        """
        with reading(self._engine) as connection:
            return submissions.verify(connection, published)
