"""The house rules: which room may use which, and what must load without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def test_every_room_keeps_to_its_floor():
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(CHECKOUT / ".importlinter"), no_cache=True) == 0


def test_the_rules_are_all_there():
    rules = ConfigParser()
    rules.read(CHECKOUT / ".importlinter")
    kinds = {rules[name]["type"] for name in rules.sections() if ":contract:" in name}
    assert kinds == {"acyclic_siblings", "forbidden", "layers", "protected"}
    assert rules["importlinter:contract:layers"]["exhaustive"] == "True"


LIGHT = """
import json, sys
{code}
heavy = ["torch", "torchvision", "safetensors", "sklearn", "streamlit", "transformers"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def loaded(code: str, **environment: str) -> list[str]:
    import os

    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(code=code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "room",
    [
        "schema.claims",
        "schema.recipe",
        "schema.results",
        "registry",
        "seeds",
        "paths",
        "bundles",
        "ledger",
        "play.scoring",
        "ledger.standings",
    ],
)
def test_a_room_says_what_it_needs(room: str):
    import importlib

    module = importlib.import_module(f"auditgame.{room}")
    assert "torch" not in vars(module)


def test_listing_and_ranking_load_no_torch(house, tmp_path):
    code = f"""
from auditgame import Game, Diagnosis, Recipe, AuditgameError
import auditgame.schema.claims, auditgame.play.scoring, auditgame.seeds
import auditgame.ledger.standings, auditgame.bundles.keys
from auditgame import registry
from auditgame.schema.results import Score
game = Game(database="sqlite:///{tmp_path / "ledger.sqlite3"}")
cards = game.cards()
assert game.card(cards[0].id) == cards[0]
player = game.player("ada")
game.ledger.submit(player, cards[0].id, Diagnosis(), Score(points=0, possible=40, components=()), 3)
assert len(game.ledger.entries()) == 1
game.standings()
game.open(cards[0].id, player).brief
game.open(cards[0].id, player).save_draft({{"p_flawed": 0.4}})
assert registry.names("tool")
"""
    assert loaded(code) == []
