"""Which shape must the database have, and how does an older one get there? (Alembic)"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from auditgame.schema.errors import AuditgameError

KNOWN = ("0001", "0002")
HEAD = KNOWN[-1]

_alembic = threading.Lock()  # Alembic keeps the migration under way in module globals.


def revision(connection: Connection) -> str | None:
    """Which migration was the last to run here? None for an empty database.

    AuditgameError where the tables are somebody else's, or newer than this program.
    """
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is None or found in KNOWN:
            return found
        raise AuditgameError(
            f"ledger: shape '{found}' is not known here (newest: {HEAD}); upgrade auditgame"
        )
    if tables:
        raise AuditgameError("ledger: the database holds other tables; name an empty one")
    return None


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Run the migrations up to `target` inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, target)


def back_up(connection: Connection, found: str) -> Path | None:
    """Copy the SQLite file as it stands before a migration; None on PostgreSQL.

    The caller holds the write lock, so nothing can be written between copy and migration.
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
    """Make or migrate the tables, with a backup first where there is something to lose."""
    found = revision(connection)
    if found == HEAD:
        return
    if found is not None:
        back_up(connection, found)
    migrate(connection)
