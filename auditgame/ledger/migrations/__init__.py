"""Migrations (Alembic): what brings an older database to the newest schema."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from auditgame.schema.errors import Invalid, Unavailable

KNOWN = ("0001", "0002")
HEAD = KNOWN[-1]

_alembic = threading.Lock()  # Alembic keeps the running migration in module globals.


def revision(connection: Connection) -> str | None:
    """The last migration that ran here; None for an empty database.

    AuditgameError where the tables are not a ledger's, or newer than this version.
    """
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is None or found in KNOWN:
            return found
        raise Unavailable(
            f"ledger: its schema '{found}' is newer than this version's '{HEAD}'; upgrade auditgame"
        )
    if tables:
        raise Invalid("ledger: the database has tables of another program; name an empty one")
    return None


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Run the migrations up to `target`, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, target)


def back_up(connection: Connection, found: str) -> Path | None:
    """The copy of the SQLite file that is made before a migration; None on PostgreSQL.

    The caller holds the write lock, so nothing is written between copy and migration.
    """
    if connection.dialect.name != "sqlite":
        return None
    source = Path(str(connection.engine.url.database))
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    copy = source.with_name(f"{source.name}.{found}-{stamp}.backup")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    return copy


def bring_up_to_date(connection: Connection) -> None:
    """Create or migrate the tables; an older database is backed up first."""
    found = revision(connection)
    if found == HEAD:
        return
    if found is not None:
        back_up(connection, found)
    migrate(connection)
