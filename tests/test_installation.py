"""One line where something about the installation is wrong; and nothing is changed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from auditgame import paths
from auditgame.cli import app
from auditgame.ledger import Ledger, migrations
from auditgame.schema.errors import EXIT_CODES, AuditgameError, Invalid, Unavailable
from tests.conftest import CHECKOUT, House

NOBODY = 65534
WITHOUT = """
import sys
sys.modules[{name!r}] = None
sys.argv = ["auditgame", *{words!r}]
from auditgame.__main__ import main
main()
"""


def said(*words: object, kind: type[AuditgameError] = Unavailable) -> str:
    """The one line on standard error with which a command refuses."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == EXIT_CODES[kind], result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1
    return result.stderr


def digests(folder: Path) -> dict[Path, str]:
    """Every file below this folder, with what it holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


# ------------------------------------------------------------------ half an installation


def without(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that cannot import this package."""
    code = WITHOUT.format(name=name, words=words)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_torch_the_cards_are_listed(house: House) -> None:
    done = without("torch", "list", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torch", ("use", "predict", "ID")),
        ("pandas", ("standings",)),
        ("typer", ("list",)),
        ("pydantic", ("list",)),
    ],
)
def test_a_missing_package_is_named_in_one_line(
    name: str, words: tuple[str, ...], house: House
) -> None:
    done = without(name, *(house.flawed.name if word == "ID" else word for word in words))
    assert (done.returncode, done.stdout) == (EXIT_CODES[Unavailable], "")
    told = f"auditgame: '{name}' is not installed; run: pip install auditgame\n"
    assert done.stderr == told


# ------------------------------------------------------------------ folders


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere; give that up."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_user_data_that_cannot_be_written(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CliRunner().invoke(app, ["list"]).exit_code == 0  # Everything is imported by now.
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    monkeypatch.setenv("AUDITGAME_HOME", str(closed))
    with unprivileged():
        told = said("list")
    assert f"{closed}/leaderboard': Permission denied; AUDITGAME_HOME" in told
    assert list(closed.iterdir()) == []


def test_user_data_in_a_file(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("AUDITGAME_HOME", str(tmp_path / "file"))
    assert "Not a directory; AUDITGAME_HOME" in said("list")
    assert (tmp_path / "file").read_text() == "mine"


# ------------------------------------------------------------------ other versions


def test_an_old_database_moves_on_with_a_backup(house: House, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with create_engine(f"sqlite:///{path}").begin() as connection:
        migrations.migrate(connection, "0001")
    result = CliRunner().invoke(app, ["--db", f"sqlite:///{path}", "list", "--json"])
    assert result.exit_code == 0 and len(json.loads(result.stdout)) == 2
    assert len(list(tmp_path.glob("*.backup"))) == 1


def test_a_newer_database_is_left_alone(house: House, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = digests(tmp_path)
    assert "'9999' is newer than this version's" in said("--db", f"sqlite:///{path}", "list")
    assert "upgrade auditgame" in said("--db", f"sqlite:///{path}", "play", "--port", free_port())
    assert digests(tmp_path) == before


def test_the_file_of_another_program_is_left_alone(house: House, tmp_path: Path) -> None:
    path = tmp_path / "cats.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    before = digests(tmp_path)
    told = said("--db", f"sqlite:///{path}", "list", kind=Invalid)
    assert "has tables of another program" in told
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(2, "upgrade auditgame"), (0, "build it again"), ("one", "build it again")],
)
def test_a_bundle_of_another_version(version: object, remedy: str, copied: House) -> None:
    manifest = copied.flawed / "bundle.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
    before = digests(copied.home / "challenges")
    hand_in = ("submit", copied.flawed.name, "--player", "ada", "--diagnosis", manifest)
    for words in (("list",), ("check", copied.flawed), hand_in):
        assert f"version {version!r}, this program reads version 1; {remedy}" in said(
            *words, kind=Invalid
        )
    assert digests(copied.home / "challenges") == before


# ------------------------------------------------------------------ the server


def test_an_address_that_cannot_be_listened_on(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "Address already in use; choose others" in said("play", "--port", port)
    for address in ("203.0.113.7", "no.such.host.invalid", ".."):
        assert f"cannot listen on {address} port" in said("play", "--host", address)


def test_a_damaged_cookie_secret_is_said_before_the_server_starts(copied: House) -> None:
    paths.record().mkdir(exist_ok=True)
    (paths.record() / "host.guests").write_bytes(b"")
    assert "host.guests': is empty" in said("play", "--port", free_port())


@pytest.mark.slow
def test_the_server_answers_and_ends_with_the_process_that_was_started(
    copied: House, tmp_path: Path
) -> None:
    port = free_port()
    words = ["play", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "auditgame", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=log,
            stderr=log,
        ) as server,
    ):
        assert "<title>" in first_page(f"http://127.0.0.1:{port}", server)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        assert not children.exists() or children.read_text() == ""
        server.send_signal(signal.SIGKILL)
    with socket.socket() as trial:
        assert trial.connect_ex(("127.0.0.1", port)) != 0
    assert (paths.record() / "host.guests").stat().st_mode & 0o777 == 0o600


def first_page(address: str, server: subprocess.Popen[bytes]) -> str:
    """The page at this address, once the server answers."""
    for _ in range(480):
        assert server.poll() is None, "the server ended at once"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.25)
    raise AssertionError("the server did not answer")
