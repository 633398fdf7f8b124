"""A small game to play in: real challenges in a house of their own, built once per run."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, event

from auditgame import bundles, paths
from auditgame.challenges.build import BuildFailed, build
from auditgame.evaluation import chance
from auditgame.flaws.patch import Patch
from auditgame.game import Game
from auditgame.play import referee
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed
from auditgame.tools.vision import unit_images

CHECKOUT = Path(__file__).resolve().parent.parent
PUBLISHED = "published.key"


class House(NamedTuple):
    """A home with siblings and one pack, in which a flawed and an innocent challenge lie."""

    home: Path
    flawed: Path
    innocent: Path


def real(*parts: str) -> Path:
    """A file of other people's data; the test is skipped where it is not at hand."""
    named = os.environ.get("AUDITGAME_TEST_DATA")
    path = Path(named or CHECKOUT.parent / "shared" / "data").joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {path}; AUDITGAME_TEST_DATA may name another folder")
    return path


def recipe(family: str, **more) -> Recipe:
    """A recipe for digits that draws one family; players are offered two."""
    told = {
        "name": "digits-test",
        "title": "Digits",
        "dataset": "digits",
        "model": "small_cnn",
        "families": {family: 1.0},
        "offers": ("patch", "shortcut"),
        "pool": {"size": 40, "planted": 0.1},
        "params": {"clean": {"decoys": ["patch"]}} if family == "clean" else {},
    }
    return Recipe(**(told | more))


def furnish(home: Path, dataset: str, model: str) -> Path:
    """Put the committed siblings of a data set and model into a house."""
    name = f"{dataset}.{model}"
    there = home / "challenges" / "references" / name
    if not there.exists():
        shutil.copytree(CHECKOUT / "challenges" / "references" / name, there)
    return home


def settle(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Let the program live in this house."""
    patch.setenv("AUDITGAME_CONTENT", str(home))
    patch.setenv("AUDITGAME_HOME", str(home))
    patch.setenv("AUDITGAME_CACHE", str(home / "cache"))
    patch.delenv("AUDITGAME_DATABASE_URL", raising=False)


def committed(home: Path) -> dict[str, Path]:
    """Challenges of the practice pack that stand on quick siblings, by family, copied here."""
    found = {}
    for folder in sorted((CHECKOUT / "challenges" / "practice").glob("digits-*")):
        if not (folder.parent / PUBLISHED).is_file():
            continue
        key = referee.open_key(folder)
        family = key.family
        if key.recipe.name == "digits" and family not in found:
            shutil.copy(folder.parent / PUBLISHED, paths.built() / PUBLISHED)
            found[family] = Path(shutil.copytree(folder, paths.built() / folder.name))
    return found


def built(family: str, pack: Path) -> Path:
    """A challenge of this family, from the first public seed whose flaw takes."""
    for number in (3, 4, 6, 7, 8):
        try:
            return build(recipe(family), Seed.of(number), pack)
        except BuildFailed:
            continue
    raise AssertionError(f"no seed of five planted '{family}'")


@pytest.fixture(scope="session", autouse=True)
def few_random_claims() -> Iterator[None]:
    """Builds measure chance over a tenth of the random claims: all of them take a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chance, "DRAWS", 20)
        yield


@pytest.fixture(scope="session", autouse=True)
def hasty_pictures() -> Iterator[None]:
    """Builds paint every unit in two steps: whole pictures take half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_images, "STEPS", 2)
        yield


@pytest.fixture(scope="session", autouse=True)
def unsynced_databases() -> Iterator[None]:
    """No test cuts the power: its databases need not wait for the disk."""

    def relax(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The house, built once; nobody may change it (see `house`)."""
    home = furnish(tmp_path_factory.mktemp("house"), "digits", "small_cnn")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, home)
        paths.built().mkdir(parents=True)
        found = committed(home)
        patch.setattr(Patch, "plans", Patch.plans[1:])  # The gentlest is too weak for digits.
        for family in sorted({"patch", "clean"} - found.keys()):
            found[family] = built(family, paths.built())
    return House(home, found["patch"], found["clean"])


@pytest.fixture
def house(prepared: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The house, with the program living in it."""
    settle(monkeypatch, prepared.home)
    return prepared


@pytest.fixture
def copied(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house of one's own, to break things in."""
    home = tmp_path / "house"
    shutil.copytree(house.home, home, ignore=shutil.ignore_patterns("cache", "*.sqlite3*"))
    settle(monkeypatch, home)
    moved = [home / folder.relative_to(house.home) for folder in (house.flawed, house.innocent)]
    yield House(home, *moved)


@pytest.fixture
def game(house: House, tmp_path: Path) -> Game:
    """A game over the house's pack, with an empty record."""
    return Game(packs=[house.flawed.parent], database=f"sqlite:///{tmp_path / 'ledger.sqlite3'}")


@pytest.fixture
def oracle(house: House) -> dict[str, Diagnosis]:
    """What someone who knows everything would hand in, by challenge."""
    return {folder.name: referee.reveal(folder).truth for folder in (house.flawed, house.innocent)}


@pytest.fixture
def manifest(house: House) -> bundles.Manifest:
    """What the flawed challenge says of itself."""
    return bundles.read_manifest(house.flawed)
