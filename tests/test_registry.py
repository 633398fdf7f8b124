"""The registry: shipped, installed and user plug-ins by name; broken ones are named, not fatal."""

from __future__ import annotations

import json
import py_compile
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from conftest import CHECKOUT, House
from registry_state import forget, only_here
from typer.testing import CliRunner

from auditgame import paths
from auditgame.cli import app
from auditgame.game import Game
from auditgame.plugins import descriptions, scaffold
from auditgame.plugins.conformance import load_file
from auditgame.plugins.descriptions import plugin_text
from auditgame.registry import FOLDERS, Kind, faults, load, names, usable
from auditgame.schema.errors import AuditgameError

KINDS: tuple[Kind, ...] = get_args(Kind)
SHIPPED = [(kind, name) for kind in KINDS for name in names(kind)]
AUDITOR = """
from auditgame.auditors import Auditor
from auditgame.schema.diagnosis import Diagnosis


class Half(Auditor):
    \"\"\"Always 0.5.\"\"\"

    name = "half"
    modality = frozenset({"image"})

    def audit(self, session):
        return Diagnosis()
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts packages on the path, as an installer does, and takes them away again."""

    def put(package: str, points: dict[str, str], **modules: str) -> Path:
        folder = tmp_path / package
        folder.mkdir()
        for name, code in modules.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(code))
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        groups = "".join(f"[auditgame.{group}]\n{line}\n" for group, line in points.items())
        (info / "entry_points.txt").write_text(groups)
        monkeypatch.syspath_prepend(str(folder))
        forget()
        return folder

    with only_here(tmp_path):
        yield put
        monkeypatch.undo()


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's folder of auditors, in a home of its own."""
    monkeypatch.setenv("AUDITGAME_HOME", str(tmp_path / "home"))
    folder = paths.plugins() / "auditors"
    folder.mkdir(parents=True)
    with only_here(tmp_path):
        yield folder


def refused(kind: Kind, name: str) -> str:
    with pytest.raises(AuditgameError) as caught:
        load(kind, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------- types


@pytest.mark.slow
def test_a_type_checker_knows_what_load_gives(tmp_path: Path) -> None:
    settings = tmp_path / "mypy.ini"
    libraries = "torch.*,torchvision.*,numpy.*,pandas.*,pydantic.*,sqlalchemy.*,jaxtyping.*"
    settings.write_text(
        "[mypy]\nfollow_imports = silent\nignore_missing_imports = true\n"
        f"[mypy-{libraries}]\nfollow_imports = skip\n"
    )
    code = "from auditgame.registry import load\n" + "\n".join(
        f'reveal_type(load("{kind}", "x"))' for kind in KINDS
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir"]
    done = subprocess.run(
        [*command, str(tmp_path / "cache"), "-c", code],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in KINDS:
        assert f'"type[auditgame.{FOLDERS[kind]}.{kind.capitalize()}' in done.stdout


# ------------------------------------------------------------- descriptions


@pytest.mark.parametrize(("kind", "name"), SHIPPED, ids=lambda part: part)
def test_the_source_says_what_the_class_says(kind: Kind, name: str) -> None:
    asked = descriptions._asked(name, load(kind, name))
    assert plugin_text(kind, name) == asked and asked.text


def test_attributes_of_bases_in_other_modules_are_read(install: Install) -> None:
    folder = install("kin", {"auditors": "half = kin_pack:Child"})
    (folder / "kin_pack").mkdir()
    (folder / "kin_pack" / "parent.py").write_text(AUDITOR)
    (folder / "kin_pack" / "child.py").write_text(
        'from .parent import Half as Base\n\n\nclass Child(Base):\n    """Mine."""\n\n'
        '    title = "Child" "ren"\n'
    )
    (folder / "kin_pack" / "__init__.py").write_text("from .child import Child\n")
    found = plugin_text("auditor", "half")
    assert found == descriptions.PluginText("half", "Children", "Mine.", frozenset({"image"}))
    assert "kin_pack" not in sys.modules
    assert load("auditor", "half").__name__ == "Child"


def test_a_plugin_without_source_is_asked(install: Install) -> None:
    folder = install("compiled", {"auditors": "half = half_compiled:Half"}, half_compiled=AUDITOR)
    source = folder / "half_compiled.py"
    py_compile.compile(str(source), cfile=str(folder / "half_compiled.pyc"))
    source.unlink()
    assert plugin_text("auditor", "half").text == "Always 0.5."


# ------------------------------------------------------------- installed packages


def test_entry_points_name_a_class_or_its_module(install: Install) -> None:
    install("one", {"auditors": "half = one_module"}, one_module=AUDITOR)
    install(
        "two",
        {"auditors": "other = two_module:Half"},
        two_module=AUDITOR.replace('"half"', '"other"'),
    )
    assert {"half", "other"} <= set(usable("auditor"))
    assert load("auditor", "half").name == "half" and load("auditor", "other").name == "other"
    assert list(faults("auditor")) == []


BROKEN = {
    "missing module": ("half = nowhere", "", "ModuleNotFoundError: No module named 'nowhere'"),
    "missing class": ("half = broken:Whole", AUDITOR, "AttributeError"),
    "fails": ("half = broken", "raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "does not parse": ("half = broken", "def", "SyntaxError"),
    "not a plug-in": ("half = broken:VALUE", "VALUE = 1", "'VALUE' is no auditor class"),
    "no class": ("half = broken", "VALUE = 1", "needs exactly one auditor class, found 0"),
    "other name": ("third = broken", AUDITOR, "its class is named 'half'"),
}


@pytest.mark.parametrize(("point", "code", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_and_the_others_work(
    install: Install, house: House, tmp_path: Path, point: str, code: str, words: str
) -> None:
    install("shaky", {"auditors": point}, broken=code)
    name = point.split(" ")[0]
    said = refused("auditor", name)
    assert said.startswith(f"auditor '{name}' from package 'shaky': cannot be loaded")
    assert words in said and said.endswith("repair or remove it")
    assert list(faults("auditor")) == [said]
    assert name in names("auditor") and name not in usable("auditor")
    assert "coin" in usable("auditor") and plugin_text("auditor", name).name == name
    run = CliRunner().invoke(app, ["doctor", "--json"])
    (found,) = (one for one in json.loads(run.stdout) if one["what"] == "auditor plug-in")
    assert f"{found['words']}; {found['remedy']}" == said and found["state"] == "absent"


def test_a_broken_tool_leaves_sessions_and_lists_alone(
    install: Install, house: House, tmp_path: Path
) -> None:
    install("shaky", {"tools": "lens = broken"}, broken="import nowhere")
    session = Game(database=f"sqlite:///{tmp_path / 'ledger.sqlite3'}").open(house.flawed.name)
    assert "predict" in session.tools() and "lens" not in session.tools()
    run = CliRunner().invoke(app, ["tools", "--json"])
    assert "lens" not in {tool["name"] for tool in json.loads(run.stdout)}
    assert "predict" in CliRunner().invoke(app, ["tools"]).stdout
    assert CliRunner().invoke(app, ["tools", "lens"]).exit_code == 6


def test_a_shipped_name_cannot_be_taken(install: Install) -> None:
    install("thief", {"auditors": "coin = thief"}, thief=AUDITOR.replace('"half"', '"coin"'))
    assert load("auditor", "coin").__module__ == "auditgame.auditors.coin"
    (fault,) = faults("auditor")
    assert "'coin' from package 'thief'" in fault and "rename it" in fault
    assert "coin" in usable("auditor")


def test_a_name_that_two_packages_define_is_refused(install: Install) -> None:
    install("one", {"auditors": "half = one_module"}, one_module=AUDITOR)
    install("two", {"auditors": "half = two_module"}, two_module=AUDITOR)
    said = refused("auditor", "half")
    assert "package 'one'" in said and "package 'two'" in said
    assert list(faults("auditor")) == [said]
    assert plugin_text("auditor", "half").text == said


# ------------------------------------------------------------- the user's folder


def test_the_users_folder_is_part_of_the_registry(user: Path) -> None:
    (user / "half.py").write_text(AUDITOR)
    (user / "not-a-name.py").write_text("")
    assert "half" in names("auditor") and "not-a-name" not in names("auditor")
    assert plugin_text("auditor", "half").text == "Always 0.5."
    plugin = load("auditor", "half")
    assert plugin.__module__ == "auditgame.auditors.half"
    assert load_file(user / "half.py") == ("auditor", plugin)
    run = CliRunner().invoke(app, ["check", "half", "--json"])
    assert run.exit_code == 0 and json.loads(run.stdout)["kind"] == "auditor"


def test_a_broken_file_of_the_user_is_named(user: Path) -> None:
    (user / "wrong.py").write_text(AUDITOR)
    said = refused("auditor", "wrong")
    assert f"from '{user / 'wrong.py'}'" in said and "named 'half'" in said
    assert plugin_text("auditor", "wrong").text == said


def test_new_writes_where_the_registry_looks(user: Path, monkeypatch) -> None:
    path = scaffold.write("auditor", "fresh_one")
    assert path == user / "fresh_one.py" and "fresh_one" in names("auditor")
    monkeypatch.delenv("AUDITGAME_HOME")
    assert scaffold.plugin_folder("flaw") == CHECKOUT / "auditgame" / "flaws"


# ------------------------------------------------------------- check by name


def test_check_asks_which_plugin_is_meant() -> None:
    run = CliRunner().invoke(app, ["check", "word_sweep"])
    assert run.exit_code == 2 and "write tool:word_sweep or auditor:word_sweep" in run.stderr
    run = CliRunner().invoke(app, ["check", "auditor:coin", "--json"])
    assert run.exit_code == 0 and json.loads(run.stdout)["name"] == "coin"


def test_check_suggests_plugins_too(house: House) -> None:
    run = CliRunner().invoke(app, ["check", "gradcan"])
    assert run.exit_code == 3
    assert "unknown challenge or plug-in 'gradcan'; did you mean 'gradcam'?" in run.stderr
