"""The record: who played, what they asked, what they handed in, what it was worth.

Standings are derived from `entries()` elsewhere and never stored here. Times are UTC, ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from auditgame import host
from auditgame.exhibits import Exhibit
from auditgame.ledger import entries as records
from auditgame.ledger import players, session_records, submissions
from auditgame.ledger.entries import Entry
from auditgame.ledger.players import Bracket, Player
from auditgame.ledger.session_records import JournalRow, Pin
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

__all__ = [
    "Bracket",
    "Entry",
    "JournalRow",
    "Ledger",
    "Pin",
    "Player",
    "diagnosis_digest",
]


class Ledger:
    """The record at one database URL; without a URL, at `host.database_url()`.

    Safe to share between threads, and to open from several processes at once. A player may
    be given as a `Player` or by name. Every refusal is an AuditgameError and writes nothing.
    """

    def __init__(self, url: str | None = None) -> None:
        self._engine = open_engine(url or host.database_url())

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def _look(self, player: Player | str, challenge: str) -> Iterator[tuple[Connection, CaseKey]]:
        with reading(self._engine) as connection:
            yield connection, CaseKey(players.identify(connection, player).id, challenge)

    @contextmanager
    def _work(self, player: Player | str, challenge: str) -> Iterator[tuple[Connection, CaseKey]]:
        with writing(self._engine) as connection:
            yield connection, CaseKey(players.identify(connection, player).id, challenge)

    # ------------------------------------------------------------- players

    def player(self, name: str, bracket: Bracket = "human") -> Player:
        """The player of this name, made on first sight; `bracket` counts only then."""
        with writing(self._engine) as connection:
            return players.get_or_create(connection, name, bracket, now())

    def guest(self, token: str) -> Player:
        """The player who holds this secret cookie token; only its digest is kept."""
        with writing(self._engine) as connection:
            return players.guest(connection, token, now())

    def rename(self, player: Player | str, name: str) -> Player:
        """Give a player another name (1 to 40 printable characters), which nobody else has."""
        with writing(self._engine) as connection:
            return players.rename(connection, player, name)

    def declare(self, player: Player | str, bracket: Bracket) -> Player:
        """Say in which bracket a player plays; open until the first hand-in."""
        with writing(self._engine) as connection:
            return players.declare(connection, player, bracket)

    # ------------------------------------------------------------ casework

    def draft(self, player: Player | str, challenge: str) -> dict[str, Any] | None:
        """What had this player filled in when last seen? None where nothing was saved."""
        with self._look(player, challenge) as where:
            return session_records.draft(*where)

    def save_draft(self, player: Player | str, challenge: str, data: dict[str, Any]) -> None:
        """Keep an unfinished diagnosis in place of the one kept before."""
        with self._work(player, challenge) as where:
            session_records.save_draft(*where, data)

    def result(self, digest: str) -> list[Exhibit] | None:
        """The exhibits kept under this digest of bundle, tool and options, if any."""
        with reading(self._engine) as connection:
            return session_records.result(connection, digest)

    def keep_result(self, digest: str, exhibits: list[Exhibit]) -> None:
        """Keep what a tool showed, so that the same question is answered at once."""
        with writing(self._engine) as connection:
            session_records.keep_result(connection, digest, exhibits)

    def record_use(
        self,
        player: Player | str,
        challenge: str,
        tool: str,
        options: dict[str, Any],
        digest: str,
        cost: int,
        budget: int | None = None,
    ) -> int:
        """Write a use of a tool into the journal; the probes charged for it.

        A question (its `digest`) that this player asked of this challenge before is free.
        AuditgameError, naming what is left, where the charge would pass `budget`.
        """
        with self._work(player, challenge) as where:
            return session_records.record_use(*where, tool, options, digest, cost, budget)

    def spent(self, player: Player | str, challenge: str) -> int:
        """How many probes has this player spent on this challenge?"""
        with self._look(player, challenge) as where:
            return session_records.spent(*where)

    def journal(self, player: Player | str, challenge: str) -> list[JournalRow]:
        """Which tools did this player use on this challenge, in order?"""
        with self._look(player, challenge) as where:
            return session_records.uses(*where)

    def pin(self, player: Player | str, challenge: str, ref: Any, title: str) -> None:
        """Keep an exhibit as evidence; `ref` is any JSON that finds it. Again: a new title."""
        with self._work(player, challenge) as where:
            session_records.pin(*where, ref, title)

    def unpin(self, player: Player | str, challenge: str, ref: Any) -> None:
        """Take a piece of evidence down; nothing happens where it was not pinned."""
        with self._work(player, challenge) as where:
            session_records.unpin(*where, ref)

    def pins(self, player: Player | str, challenge: str) -> list[Pin]:
        """Which evidence did this player pin, oldest first?"""
        with self._look(player, challenge) as where:
            return session_records.evidence(*where)

    # ------------------------------------------------------------ hand-ins

    def attempts(self, player: Player | str, challenge: str) -> tuple[int, int]:
        """How many attempts are used, of how many? (0, 0) before the first hand-in."""
        with self._look(player, challenge) as where:
            return submissions.attempts(*where)

    def find(self, player: Player | str, challenge: str, diagnosis_digest: str) -> Receipt | None:
        """Was this diagnosis handed in before? Its receipt, so that nobody judges it twice."""
        with self._look(player, challenge) as where:
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
        """Record a judged hand-in: quota, submission, score and log, all or nothing.

        The same diagnosis again returns the receipt it got before and takes no attempt.
        AuditgameError where all attempts are used, or a number is not finite.
        """
        diagnosis, score = submissions.checked(diagnosis, score)
        with self._work(player, challenge) as where:
            made = submissions.hand_in(*where, diagnosis, score, max_attempts, scorer)
            return submissions.receipts(*where, made)[0]

    def rescore(self, submission: int, score: Score, scorer: str) -> None:
        """Score a hand-in anew by another version of the scorer; the old score stays on record."""
        _, score = submissions.checked(Diagnosis(), score)
        with writing(self._engine) as connection:
            submissions.rescore(connection, submission, score, scorer)

    def receipts(self, player: Player | str, challenge: str) -> list[Receipt]:
        """What came of this player's hand-ins on this challenge, in order of attempts?"""
        with self._look(player, challenge) as where:
            return submissions.receipts(*where)

    # ---------------------------------------------------------- the whole

    def entries(self) -> pd.DataFrame:
        """Every hand-in with its newest score, one row each; all tables derive from this.

        Columns: `auditgame.ledger.entries.COLUMNS`. `probes` and `evidence` are as they stood then.
        For the host only while ranked challenges run: `possible` tells flawed from innocent.
        """
        with reading(self._engine) as connection:
            return records.frame(connection)

    def export(self, folder: Path) -> list[Path]:
        """Write entries.csv (the table) and entries.jsonl (what `import_entries` reads)."""
        with reading(self._engine) as connection:
            return records.export(connection, folder)

    def import_entries(self, entries: Iterable[dict[str, Any]]) -> int:
        """Take in entries of another ledger, such as the baseline bots'; how many were new.

        All or nothing; entries that are here already are left alone. AuditgameError names
        the entry that does not fit.
        """
        with writing(self._engine) as connection:
            return records.import_all(connection, entries)

    def head(self) -> str:
        """The newest hash of the log: published, it lets anyone see a later change."""
        with reading(self._engine) as connection:
            return submissions.head(connection)

    def verify_chain(self, published: str | None = None) -> str:
        """Is the record what was once written? The head hash, or AuditgameError where it breaks.

        A hash `published` before must still be in the chain; this finds a cut-off end too.
        """
        with reading(self._engine) as connection:
            return submissions.verify(connection, published)
