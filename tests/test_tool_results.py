"""What a tool showed is kept until its code changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKOUT, House

from auditgame.play import source_digest
from auditgame.plugins import scaffold

ASK = """
import json, sys
from pathlib import Path
from auditgame import Game

folder = Path(sys.argv[1])
game = Game(packs=[folder.parent], database=sys.argv[2])
for _ in range(2):
    used = game.open(folder.name, "ada").run_tool("own_means", count=1)
    title = used.exhibits[0].title
    print(json.dumps({"cached": used.cached, "cost": used.cost, "title": title}))
"""
POINT = "[auditgame.tools]\nown_means = own_means:OwnMeans\n"


def ask(site: Path, folder: Path, record: Path) -> list[dict[str, object]]:
    """What a new process is told that asks the installed tool twice."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(CHECKOUT)])}
    command = [sys.executable, "-c", ASK, str(folder), f"sqlite:///{record}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_changed_code_answers_anew_and_charges_nothing(house: House, tmp_path: Path) -> None:
    site = tmp_path / "site"
    tool = scaffold.write("tool", "own_means", site)
    about = site / "own_means-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own_means\nVersion: 1\n")
    (about / "entry_points.txt").write_text(POINT)
    first, again = ask(site, house.flawed, tmp_path / "ledger.sqlite3")
    assert first.pop("cost") > 0
    assert first == {"cached": False, "title": "Mean activation at conv4"}
    assert again == {**first, "cached": True, "cost": 0}
    tool.write_text(tool.read_text().replace("Mean activation at", "Averages of"))
    first, again = ask(site, house.flawed, tmp_path / "ledger.sqlite3")
    assert first == {"cached": False, "cost": 0, "title": "Averages of conv4"}
    assert again == {**first, "cached": True}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package: `own.tool` uses `own.part`, and nothing uses `own.other`."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "tool": "from . import part",
        "part": "",
        "other": "",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source_digest, "_STARTED", float("inf"))
    __import__("own.tool")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        del sys.modules[name]


def digest(module: str) -> str:
    """The digest that a new process computes."""
    source_digest._imports.cache_clear()
    return source_digest.source_digest.__wrapped__(module)


@pytest.mark.parametrize(("file", "changes"), [("tool", True), ("part", True), ("other", False)])
def test_a_digest_follows_what_is_imported(package: Path, file: str, changes: bool) -> None:
    before = digest("own.tool")
    assert before == digest("own.tool")
    path = package / f"{file}.py"
    path.write_text(f"{path.read_text()}\n# changed")
    assert (digest("own.tool") != before) == changes


def test_a_file_that_is_being_edited_does_not_break_the_session(package: Path) -> None:
    before = digest("own.tool")
    (package / "part.py").write_text("def half(")
    assert digest("own.tool") != before


def test_code_that_this_process_may_not_have_loaded_is_its_own(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_digest, "_STARTED", 0.0)
    here = digest("own.tool")
    monkeypatch.setattr(source_digest, "_PROCESS", b"another process")
    assert digest("own.tool") != here


def test_the_tools_own_files_are_followed_and_the_version_is_not() -> None:
    __import__("auditgame.tools.gradcam")
    reached = source_digest._closure(("auditgame.tools.gradcam",))
    assert {"auditgame.tools.vision.pixel_attribution", "auditgame.specimen"} <= reached.keys()
    assert not {"auditgame", "auditgame.tools.mistakes"} & reached.keys()
