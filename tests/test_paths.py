"""Where content, user data and secrets lie, and that secrets are whole and the same for all."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditgame import host, paths
from auditgame.bundles import keys
from auditgame.bundles.reference_models import reference_folders
from auditgame.cli import app
from auditgame.cli.recipe_lookup import find_recipe
from auditgame.plugins import scaffold
from auditgame.schema.errors import AuditgameError
from tests.conftest import CHECKOUT, House


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no folders and no database."""
    for name in ("CONTENT", "HOME", "CACHE", "DATA", "DATABASE_URL"):
        monkeypatch.delenv(f"AUDITGAME_{name}", raising=False)
    return monkeypatch


@pytest.fixture
def installed(bare: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The package as if it were installed; the folder is the user's home."""
    package = tmp_path / "site-packages" / "auditgame"
    package.mkdir(parents=True)
    bare.setattr(paths, "PACKAGE", package)
    bare.setenv("HOME", str(tmp_path / "ada"))
    bare.delenv("XDG_DATA_HOME", raising=False)
    bare.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


# ------------------------------------------------------------------ folders


def test_in_a_checkout_content_and_user_data_are_the_checkout(bare: pytest.MonkeyPatch) -> None:
    assert paths.content() == paths.user_data() == CHECKOUT
    assert paths.recipes() == [CHECKOUT / "challenges" / "recipes"]
    assert paths.front_script().is_file()


def test_an_installed_package_is_only_read(installed: Path) -> None:
    package, home = installed / "site-packages" / "auditgame", installed / "ada"
    assert paths.content() == package / "_content"
    written = [paths.built(), paths.record(), paths.cache(), paths.data(), paths.microscopes()]
    written += [paths.recipes()[-1], paths.references()[-1]]
    assert all(folder.is_relative_to(home) for folder in written)
    assert all(folder.name == "auditgame" for folder in (paths.user_data(), paths.cache()))
    assert len(paths.recipes()) == len(paths.references()) == 2


def test_the_environment_names_other_folders(installed: Path, bare: pytest.MonkeyPatch) -> None:
    for name in ("CONTENT", "HOME", "CACHE", "DATA"):
        bare.setenv(f"AUDITGAME_{name}", str(installed / name.lower()))
    assert paths.practice() == installed / "content" / "challenges" / "practice"
    assert paths.record() == installed / "home" / "leaderboard"
    assert paths.cache() == installed / "cache" and paths.data() == installed / "data"
    assert paths.front_script() == installed / "site-packages/auditgame/_content/streamlit_app.py"


def test_the_user_s_own_recipes_and_reference_models_are_found(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.setenv("AUDITGAME_HOME", str(tmp_path))
    shipped = reference_folders("digits", "small_cnn")
    own = paths.references()[-1] / "digits.small_cnn"
    for number in ("0", "7"):
        (own / number).mkdir(parents=True)
    assert reference_folders("digits", "small_cnn") == [*shipped, own / "7"]
    written = scaffold.write("recipe", "mine")
    assert written == tmp_path / "challenges" / "recipes" / "mine.yaml"
    assert find_recipe("mine") == written and find_recipe("digits").is_file()


def test_a_new_plug_in_is_not_written_into_an_installed_package(installed: Path) -> None:
    assert scaffold.write("flaw", "ring").is_relative_to(installed / "ada")
    assert list(paths.PACKAGE.iterdir()) == []


# ------------------------------------------------------------------ secrets


def test_secrets_lie_beside_the_sqlite_file(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("AUDITGAME_HOME", str(tmp_path / "home"))
    assert host.secrets_folder() == paths.record()
    with host.using_database(f"sqlite:///{tmp_path / 'far' / 'game.db'}"):
        assert host.secrets_folder() == tmp_path / "far"
    assert host.secrets_folder() == paths.record()


def test_a_postgresql_database_has_a_folder_without_its_password(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.setenv("AUDITGAME_HOME", str(tmp_path))
    folders = []
    for url in ("postgresql://ada:pw@h/game", "postgres://bob@h:5432/game", "postgresql://g/game"):
        with host.using_database(url):
            folders.append(host.secrets_folder())
    assert folders[0] == folders[1] != folders[2]
    assert folders[0].parent == paths.record() and folders[0].name.startswith("game-")


def test_a_secret_is_private_and_stays(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path / 'game.db'}")
    bare.setenv("AUDITGAME_HOME", str(tmp_path / "home"))
    assert host.cookie_secret() == host.cookie_secret()
    assert bytes(keys.private_key(tmp_path)) == bytes(keys.private_key(tmp_path))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["host.guests", "host.key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_another_database_takes_over_the_secrets_of_the_user_data(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.setenv("AUDITGAME_HOME", str(tmp_path / "home"))
    first = host.cookie_secret()
    with host.using_database(f"sqlite:///{tmp_path / 'game.db'}"):
        assert host.cookie_secret() == first
    assert (tmp_path / "host.guests").read_bytes() == first


RACE = """
import os, sys
from auditgame import host
gate, opened = os.pipe()
told, tell = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(opened)
        os.read(gate, 1)
        os.write(tell, host.cookie_secret())
        os._exit(0)
os.close(opened)
os.close(tell)
secrets = os.fdopen(told, "rb").read()
print(len(secrets), len({secrets[at : at + 32] for at in range(0, len(secrets), 32)}))
"""


def test_processes_at_the_first_start_get_one_secret(tmp_path: Path) -> None:
    for run in range(5):
        environment = {"AUDITGAME_DATABASE_URL": f"sqlite:///{tmp_path / str(run) / 'game.db'}"}
        done = subprocess.run(
            [sys.executable, "-c", RACE, "12"],
            env={**environment, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [str(12 * 32), "1"]
        assert [path.name for path in (tmp_path / str(run)).iterdir()] == ["host.guests"]


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_cookie_secret_is_refused(
    content: bytes, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path / 'game.db'}")
    (tmp_path / "host.guests").write_bytes(content)
    with pytest.raises(AuditgameError, match=r"host\.guests.*restore it from a backup"):
        host.cookie_secret()
    assert (tmp_path / "host.guests").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"no key\n", b"\xff\xfe\n", b"abcd\n"])
def test_a_damaged_key_is_refused(content: bytes, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path / 'game.db'}")
    (tmp_path / "host.key").write_bytes(content)
    with pytest.raises(AuditgameError, match=r"host\.key'.*restore it from a backup"):
        keys.private_key(tmp_path)
    assert (tmp_path / "host.key").read_bytes() == content


def test_a_secret_that_cannot_be_read_is_refused(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path / 'game.db'}")
    (tmp_path / "host.guests").mkdir()
    with pytest.raises(AuditgameError, match=r"host\.guests.*name another database with --db"):
        host.cookie_secret()


# ------------------------------------------------------------------ database


def test_the_option_counts_for_one_command_only(house: House, tmp_path: Path) -> None:
    default = host.database_url()
    far = tmp_path / "game.db"
    result = CliRunner().invoke(app, ["--db", f"sqlite:///{far}", "list", "--json"])
    assert result.exit_code == 0 and far.is_file()
    assert host.database_url() == default != f"sqlite:///{far}"
