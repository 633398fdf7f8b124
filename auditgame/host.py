"""This host's database and the secrets that belong to it.

A secret lies beside the SQLite file; for PostgreSQL, in the user data under a name derived from
the database. It is written whole or not at all, readable by its owner only.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from auditgame import paths
from auditgame.schema.errors import Invalid, Unavailable

DATABASE = "AUDITGAME_DATABASE_URL"
COOKIE_BYTES = 32
RESTORE = "restore it from a backup, or remove it to get a new one"


def database_url() -> str:
    """The URL that AUDITGAME_DATABASE_URL names, or that of a SQLite file in the user data."""
    return os.environ.get(DATABASE) or f"sqlite:///{paths.record() / 'ledger.sqlite3'}"


@contextmanager
def using_database(url: str) -> Iterator[None]:
    """Let this process and those it starts use another database until the end of the block."""
    before = os.environ.get(DATABASE)
    os.environ[DATABASE] = url
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(DATABASE)
        else:
            os.environ[DATABASE] = before


def parse_url(url: str) -> URL:
    """The URL of a SQLite file or of PostgreSQL with the driver used here; else AuditgameError."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise Invalid(
            "database URL: cannot be read; write sqlite:///FILE or postgresql://HOST/NAME"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise Invalid(
            f"database URL '{parsed.render_as_string(hide_password=True)}': "
            "a ledger needs a SQLite file (sqlite:///FILE) or PostgreSQL (postgresql://...)"
        )
    return parsed


def secrets_folder() -> Path:
    """Where the secrets of this process's database lie."""
    url = parse_url(database_url())
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database)).parent
    server = f"{url.host}:{url.port or 5432}/{url.database}"
    name = re.sub(r"[^a-z0-9]+", "-", str(url.database).lower())
    return paths.record() / f"{name}-{hashlib.sha256(server.encode()).hexdigest()[:8]}"


def secret(name: str, fresh: Callable[[], bytes]) -> tuple[Path, bytes]:
    """Path and content of a secret of this name; `fresh` makes the content at the first call.

    Processes that come at the same time all get one content. A database without the secret takes
    over the one in the user data's own folder, if there is any. AuditgameError where it cannot be
    read or written, or is empty.
    """
    path, fallback = secrets_folder() / name, paths.record() / name
    try:
        if not path.exists():
            _publish(path, _read(fallback) if fallback.exists() else fresh())
        return path, _read(path)
    except OSError as error:
        raise Unavailable(
            f"host secret '{path}': {error.strerror}; make its folder readable and writable for "
            "this user, or name another database with --db"
        ) from None


def replace_secret(name: str, content: bytes) -> None:
    """Give a secret of this name another content, whole or not at all."""
    path = secrets_folder() / name
    try:
        draft = _draft(path, content)
        draft.replace(path)
    except OSError as error:
        raise Unavailable(
            f"host secret '{path}': {error.strerror}; make its folder writable for this user"
        ) from None


def cookie_secret() -> bytes:
    """The secret that signs this host's cookies."""
    path, content = secret("host.guests", lambda: secrets.token_bytes(COOKIE_BYTES))
    if len(content) != COOKIE_BYTES:
        raise Unavailable(
            f"host secret '{path}': has {len(content)} bytes, must have {COOKIE_BYTES}; {RESTORE}"
        )
    return content


def _publish(path: Path, content: bytes) -> None:
    """Give the whole content its name, unless another process was first."""
    draft = _draft(path, content)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _draft(path: Path, content: bytes) -> Path:
    """A file beside this path with the whole content, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if not content:
        raise Unavailable(f"host secret '{path}': is empty; {RESTORE}")
    return content
