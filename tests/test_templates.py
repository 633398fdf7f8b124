"""What `auditgame new` writes works together: a challenge of templates is built and played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from conftest import settle
from registry_state import only_here
from typer.testing import CliRunner

from auditgame import paths
from auditgame.cli import app
from auditgame.plugins.conformance import examine
from auditgame.registry import FOLDERS, Kind, load

pytestmark = pytest.mark.slow

RECIPE = """
name: mine
title: Mine
dataset: my_dataset
model: my_model
families: {my_flaw: 1}
offers: [my_flaw, patch]
pool: {size: 40, planted: 0.1}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's home, without anything in it."""
    settle(monkeypatch, tmp_path)
    with only_here(tmp_path):
        yield tmp_path


def run(*words: object) -> list[dict] | dict:
    """The JSON that a command prints."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_the_templates_make_one_challenge_together(home: Path) -> None:
    for kind in get_args(Kind):
        written = run("new", kind, f"my_{kind}")
        assert Path(written["path"]) == paths.plugins() / FOLDERS[kind] / f"my_{kind}.py"
    assert len(run("references", "my_dataset", "my_model")) == 3
    recipe = home / "mine.yaml"
    recipe.write_text(RECIPE)
    made = run("build", recipe, "--seed", 4)
    checks = run("check", made["id"])[Path(made["path"]).name]["checks"]
    assert {"random triggers", "near miss: in another colour"} <= {one["name"] for one in checks}
    assert all(one["passed"] for one in checks)
    used = run("use", "my_tool", made["id"], "--player", "ada", "-o", "count=4")
    assert len(used["exhibits"][0]["rows"]) == 4 and used["cost"] == 40
    (receipt,) = run("audit", made["id"], "--auditor", "my_auditor")
    assert receipt["score"]["possible"] == 100
    truth = run("reveal", made["id"], "--player", "my_auditor")
    assert truth["family"] == "my_flaw" and truth["units"]


def test_the_flaw_template_keeps_its_rules_on_the_data_set_template(home: Path) -> None:
    for kind in ("dataset", "flaw"):
        run("new", kind, f"my_{kind}")
    dataset = load("dataset", "my_dataset")()
    assert load("flaw", "my_flaw").incompatibility(dataset) is None
    assert not [rule for rule in examine("flaw", load("flaw", "my_flaw")) if rule.fault]
