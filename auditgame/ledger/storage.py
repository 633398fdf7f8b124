"""Where does the record live? The one way to open it, to read and to write.

SQLite (write-ahead log) by default, PostgreSQL by URL. One writer at a time on both, so a
write is a plain sequence of statements that no other write can interleave with.
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
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import canonical

PATIENCE_MS = 30_000
WRITER_LOCK = 0x617564697467616D


def _switch_to_wal(path: Path) -> None:
    # While another process makes the same switch SQLite says "locked" at once and does not
    # wait out its timeout; hence the short pauses here.
    for pause in (*[0.05] * 100, None):
        try:
            with closing(sqlite3.connect(path, timeout=PATIENCE_MS / 1000)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
                if not tables or "alembic_version" in tables:  # Another's file stays as it is.
                    connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if pause is None or "locked" not in str(error):
                raise AuditgameError(f"ledger '{path}': {error}; check the file") from None
            time.sleep(pause)
        except sqlite3.DatabaseError as error:
            raise AuditgameError(f"ledger '{path}': {error}; name another file") from None


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {PATIENCE_MS}",
            "foreign_keys = ON",
            "recursive_triggers = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def open_engine(url: str) -> Engine:
    """The database at this URL, made or migrated as needed. Several processes may do so at once.

    AuditgameError where the URL names no ledger, or one that a newer version has written.
    """
    parsed = parse_url(url)
    try:
        engine = create_engine(parsed, pool_size=16, max_overflow=16, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise AuditgameError("PostgreSQL needs a driver; install auditgame[postgres]") from None
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
    """One moment of the database, whatever is written meanwhile; waits for nobody."""
    snapshot = {"isolation_level": "REPEATABLE READ"} if _is_postgresql(engine) else {}
    with engine.connect().execution_options(**snapshot) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """The one writer's transaction: all of it is kept, or, after an error, none of it."""
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        if _is_postgresql(engine):
            connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
        yield connection


class CaseKey(NamedTuple):
    """Whose work on which challenge is meant?"""

    player_id: int
    challenge: str

    def within(self, table: Table) -> ColumnElement[bool]:
        """The condition that picks this place's rows of a table."""
        return (table.c.player_id == self.player_id) & (table.c.challenge == self.challenge)


def now() -> str:
    """The time, UTC, in ISO 8601 with microseconds; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def as_text(data: Any, what: str) -> str:
    """The canonical JSON of a value; AuditgameError for NaN, infinity and what is not JSON."""
    try:
        return canonical(data).decode()
    except (ValueError, TypeError, RecursionError) as error:
        raise AuditgameError(f"{what}: {error}; give finite numbers, text and lists") from None


def put(
    connection: Connection, table: Table, row: dict[str, Any], key: tuple[str, ...] = ()
) -> None:
    """Insert a row. On a conflict over `key` replace it; with no key, keep what was there."""
    dialect = postgresql if _is_postgresql(connection) else sqlite
    statement = dialect.insert(table).values(row)
    if key:
        fresh = {name: value for name, value in row.items() if name not in key}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=fresh)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement)
