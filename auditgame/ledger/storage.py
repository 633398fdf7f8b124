"""Storage: opening the database, and reading and writing transactions.

SQLite (write-ahead log) by default, PostgreSQL by URL. Both have one writer at a time, so a
write is a plain sequence of statements that no other write interleaves with.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from auditgame.host import parse_url
from auditgame.ledger.migrations import HEAD, bring_up_to_date, revision
from auditgame.schema.errors import Invalid, Unavailable
from auditgame.schema.records import canonical

TIMEOUT_MS = 30_000
"""The longest wait for another writer."""
WRITER_LOCK = 0x617564697467616D
"""The number of the advisory lock that makes PostgreSQL have one writer."""


def _switch_to_wal(path: Path) -> None:
    # While another process makes the same switch, SQLite reports "locked" at once instead of
    # waiting for its timeout; hence the short pauses.
    for pause in (*[0.05] * 100, None):
        try:
            with closing(sqlite3.connect(path, timeout=TIMEOUT_MS / 1000)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
                if not tables or "alembic_version" in tables:  # Another's file stays as it is.
                    connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if pause is None or "locked" not in str(error):
                raise Unavailable(
                    f"ledger '{path}': cannot be opened; check the file, its folder and their "
                    "permissions"
                ) from None
            time.sleep(pause)
        except sqlite3.DatabaseError:
            raise Invalid(f"ledger '{path}': not a SQLite database; name another file") from None


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {TIMEOUT_MS}",
            "foreign_keys = ON",
            "recursive_triggers = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def open_engine(url: str) -> Engine:
    """The database at this URL, created or migrated as needed, by several processes at once.

    AuditgameError where the URL names no ledger, or one that a newer version has written.
    """
    parsed = parse_url(url)
    try:
        engine = create_engine(parsed, pool_size=16, max_overflow=16, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise Unavailable("PostgreSQL needs a driver; install auditgame[postgres]") from None
    if parsed.get_backend_name() == "sqlite":
        path = Path(str(parsed.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        _switch_to_wal(path)
        _set_up_sqlite(engine)
    try:
        _bring_up_to_date(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _bring_up_to_date(engine: Engine) -> None:
    with reading(engine) as connection:
        if revision(connection) == HEAD:
            return
    with writing(engine) as connection:
        bring_up_to_date(connection)


def _is_postgresql(bound: Engine | Connection) -> bool:
    return bound.dialect.name == "postgresql"


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database and waits for no writer."""
    snapshot = {"isolation_level": "REPEATABLE READ"} if _is_postgresql(engine) else {}
    with engine.connect().execution_options(**snapshot) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """The writer's transaction: committed as a whole, or, after an error, not at all."""
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        if _is_postgresql(engine):
            connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
        yield connection


class CaseKey(NamedTuple):
    """One player's work on one challenge."""

    player_id: int
    challenge: str

    def within(self, table: Table) -> ColumnElement[bool]:
        """The condition for the rows of a table that belong to this player and challenge."""
        return (table.c.player_id == self.player_id) & (table.c.challenge == self.challenge)


def now() -> str:
    """The time, UTC, in ISO 8601 with microseconds; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def as_text(data: Any, what: str) -> str:
    """The canonical JSON of a value; AuditgameError for NaN, infinity and what is not JSON."""
    try:
        return canonical(data).decode()
    except (ValueError, TypeError, RecursionError):
        raise Invalid(f"{what}: is not plain JSON; give finite numbers, text and lists") from None


def put(
    connection: Connection, table: Table, row: dict[str, Any], key: tuple[str, ...] = ()
) -> None:
    """Insert a row. On a conflict over `key` replace the old row; without a key, keep it."""
    dialect = postgresql if _is_postgresql(connection) else sqlite
    statement = dialect.insert(table).values(row)
    if key:
        fresh = {name: value for name, value in row.items() if name not in key}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=fresh)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement)
