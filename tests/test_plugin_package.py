"""Plug-ins of an installed package: described, tested, built and played as if they were ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import CHECKOUT

pytestmark = pytest.mark.slow

UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
PLUGINS = {"flaw": "stripe", "tool": "confidence", "auditor": "unsure"}

DESCRIBE = """
import json, sys
from auditgame.registry import names
from auditgame.plugins.descriptions import plugin_text
found = {kind: plugin_text(kind, name) for kind, name in PLUGINS.items() if name in names(kind)}
plain = {kind: [*text[1:3], sorted(text.modality), text.asks] for kind, text in found.items()}
heavy = [name for name in ("torch", "auditgame_example") if name in sys.modules]
print(json.dumps([plain, heavy]))
"""
PAGES = """
import json
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner
from auditgame.cli import app
from auditgame.registry import faults
def command(*words):
    return CliRunner().invoke(app, words).stdout
script = "from auditgame.ui.pages.guide import page; page()"
guide = AppTest.from_string(script, default_timeout=120).run()
pages = [part.value for part in [*guide.markdown, *guide.html]]
guide.segmented_control(key="chapter").set_value("Tools").run()
pages += [part.value for part in [*guide.markdown, *guide.html]]
chosen = [f"{kind}:{name}" for kind, name in PLUGINS.items()]
checks = [json.loads(command("check", plugin, "--json")) for plugin in chosen]
tool = json.loads(command("tools", "confidence", "--json"))
print(json.dumps([pages, checks, command("tools"), tool, list(faults("flaw"))]))
"""
PLAY = """
import json
from auditgame import paths
from auditgame.challenges.build import build
from auditgame.game import Game
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed
recipe = Recipe(name="striped", title="Striped", dataset="digits", model="small_cnn",
                families={"stripe": 1.0}, offers=("stripe", "patch"))
folder = build(recipe, Seed.of(1), paths.built(), microscope=False)
game = Game()
receipt = game.audit(folder.name, "unsure")
truth = game.reveal(folder.name, "unsure")
claim = game.submit(folder.name, "oracle", truth.truth)
print(json.dumps([folder.name, receipt.score.possible, truth.family, claim.score.points]))
"""
AFTER = """
import json
from auditgame.game import Game
from auditgame.registry import names
from auditgame.schema.errors import AuditgameError
game, error = Game(), ""
card = next(card for card in game.cards() if "stripe" in card.families)
try:
    game.open(card.id, "ada")
except AuditgameError as caught:
    error = str(caught)
left = [name for kind, name in PLUGINS.items() if name in names(kind)]
print(json.dumps([card.id, len(game.cards()), error, left]))
"""


class Target(NamedTuple):
    """The folder that the package is installed into, and the home of its user."""

    packages: Path
    home: Path

    def uv(self, *words: object) -> None:
        """Run `uv pip` on the folder, without a network."""
        where = ("--python", sys.executable, "--target", self.packages)
        command = [UV, "--quiet", "--offline", "pip", words[0], *where, *words[1:]]
        subprocess.run([str(word) for word in command], check=True)

    def python(self, code: str) -> Any:
        """The JSON on the last line that a new process prints."""
        variables = {
            "PYTHONPATH": os.pathsep.join([str(self.packages), str(CHECKOUT)]),
            "AUDITGAME_HOME": str(self.home),
            "AUDITGAME_CACHE": str(self.home / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", f"PLUGINS = {PLUGINS}\n{code}"],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            cwd=self.home,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A clean folder with the example package in it."""
    work = tmp_path_factory.mktemp("package")
    source = shutil.copytree(CHECKOUT / "tests" / "plugin_package", work / "source")
    target = Target(work / "packages", work / "home")
    target.home.mkdir()
    target.uv("install", "--no-deps", "--no-build-isolation", source)
    return target


def test_descriptions_are_read_without_importing_the_package(installed: Target) -> None:
    described, imported = installed.python(DESCRIBE)
    assert not imported
    titles = {kind: title for kind, (title, *_) in described.items()}
    assert titles == {
        "flaw": "Stripe along an edge",
        "tool": "Confidence by class",
        "auditor": "Unsure",
    }
    assert all(modality == ["image"] for _, _, modality, _ in described.values())
    assert "How it misleads:" in described["tool"][1]
    assert described["tool"][3] == "What does it answer?"


def test_pages_and_commands_show_the_package(installed: Target) -> None:
    pages, checks, listed, (tool,), faults = installed.python(PAGES)
    guide = "\n".join(pages)
    for text in ("Stripe along an edge", "Confidence by class", "Hendrycks and Gimpel"):
        assert text in guide
    assert {check["kind"]: check["name"] for check in checks} == PLUGINS
    assert [rule["fault"] for check in checks for rule in check["rules"] if rule["fault"]] == []
    assert "confidence" in listed and "How sure" in listed
    assert tool["title"] == "Confidence by class" and "count" in tool["options"]["properties"]
    assert faults == []


def test_its_flaw_is_certified_and_its_auditor_plays(installed: Target) -> None:
    id, possible, family, points = installed.python(PLAY)
    assert id.startswith("digits-") and family == "stripe"
    assert possible == 100 and points > 90


def test_after_uninstall_nothing_is_left(installed: Target) -> None:
    installed.uv("uninstall", "auditgame-example")
    assert not [path for path in installed.packages.rglob("*") if "example" in path.name]
    id, cards, error, left = installed.python(AFTER)
    assert left == [] and cards > 1
    assert error == (
        f"challenge '{id}' needs the flaw plug-in 'stripe', which is not installed; install the "
        "package that provides it"
    )
