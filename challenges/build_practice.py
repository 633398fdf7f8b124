"""Build the practice pack that `practice.yaml` asks for: `make practice`.

Fresh secret seeds are drawn until the recipe yields the family that is wanted; everything
else is left to the seed. Cases that are there already count, so an interrupted run goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from nacl.public import PrivateKey

from auditgame import places, referee, vault
from auditgame.generate import BuildFailed, build, draw
from auditgame.seeds import Seed
from auditgame.types import Recipe

HERE = Path(__file__).parent
LABEL = "published practice key: spoiler protection, not security"


def main() -> None:
    """Publish a key for the pack, then build what is missing."""
    pack = places.practice()
    pack.mkdir(parents=True, exist_ok=True)
    published = pack / vault.PUBLISHED
    if not published.exists():
        published.write_text(f"{LABEL}\n{bytes(PrivateKey.generate()).hex()}\n")
    keys = [referee.open_key(folder.parent) for folder in sorted(pack.glob("*/bundle.json"))]
    there = [(key.recipe.name, key.family) for key in keys]
    for wish in yaml.safe_load((HERE / "practice.yaml").read_text()):
        recipe = read_recipe(wish["recipe"])
        for _ in range(wish["count"] - there.count((wish["recipe"], wish["family"]))):
            print(wish["recipe"], make(recipe, wish["family"], pack).name, flush=True)


def read_recipe(name: str) -> Recipe:
    """The recipe of this name."""
    return Recipe.model_validate(yaml.safe_load((places.recipes() / f"{name}.yaml").read_text()))


def make(recipe: Recipe, family: str, pack: Path) -> Path:
    """One certified case of this family; seeds that fail their certificate are said and passed."""
    while True:
        seed = Seed.fresh()
        if draw(recipe, seed).flaw.name != family:
            continue
        try:
            return build(recipe, seed, pack)
        except BuildFailed as failure:
            print(failure, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
