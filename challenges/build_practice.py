"""Build the practice pack that `practice.yaml` asks for: `make practice`.

Fresh secret seeds are drawn until the recipe yields the family that is wanted; everything
else is left to the seed. A case whose brief tells how its model works has a numbered seed, as
not every model works so. Cases that are there already count, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import yaml
from nacl.public import PrivateKey

from auditgame import paths
from auditgame.bundles import keys
from auditgame.challenges.build import BuildFailed, build
from auditgame.flaws import draw_flaw
from auditgame.play import referee
from auditgame.schema.errors import Invalid
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed

HERE = Path(__file__).parent
LABEL = "published practice key: spoiler protection, not security"


def main() -> None:
    """Publish a key for the pack, then build what is missing."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    pack = paths.practice()
    pack.mkdir(parents=True, exist_ok=True)
    published = pack / keys.PUBLISHED
    if not published.exists():
        published.write_text(f"{LABEL}\n{bytes(PrivateKey.generate()).hex()}\n")
    with ProcessPoolExecutor(asked.parse_args().jobs) as pool:
        for made in as_completed([pool.submit(make, wish, pack) for wish in missing(pack)]):
            print(made.result(), flush=True)


def missing(pack: Path) -> list[Wish]:
    """The wishes that are not granted yet, each as often as it is due."""
    keys = [referee.open_key(folder.parent) for folder in sorted(pack.glob("*/bundle.json"))]
    found: list[Wish] = []
    for wish in wishes():
        there = [
            key
            for key in keys
            if key.recipe.name == wish.recipe and grants(key.family, key.claim, wish.particulars)
        ]
        found += [wish] * (wish.count - len(there))
    return found


class Wish(NamedTuple):
    """So many cases of a recipe; what its seed must draw, by name: the family, and more.

    seed: the number of the one seed that is taken; None: fresh ones, until one draws it.
    """

    recipe: str
    count: int
    seed: int | None
    particulars: dict[str, str]


def wishes() -> list[Wish]:
    """The lines of practice.yaml."""
    lines = yaml.safe_load((HERE / "practice.yaml").read_text())
    return [
        Wish(line.pop("recipe"), line.pop("count"), line.pop("seed", None), line) for line in lines
    ]


def read_recipe(name: str) -> Recipe:
    """The recipe of this name."""
    return Recipe.model_validate(yaml.safe_load((HERE / "recipes" / f"{name}.yaml").read_text()))


def grants(family: str, claim: dict[str, object] | None, wish: dict[str, str]) -> bool:
    """Is this the family, and are these the particulars, that were wished for?"""
    found = {"family": family, **(claim or {})}
    return all(found.get(name) == value for name, value in wish.items())


def make(wish: Wish, pack: Path) -> str:
    """One certified case as wished; seeds that fail their certificate are said and passed."""
    recipe = read_recipe(wish.recipe)
    for seed in seeds(wish):
        flaw = draw_flaw(recipe, seed)
        claim = flaw.true_claim()
        if not grants(flaw.name, claim and claim.model_dump(), wish.particulars):
            continue
        try:
            return f"{recipe.name} {build(recipe, seed, pack).name}"
        except BuildFailed as failure:
            print(failure, file=sys.stderr, flush=True)
    raise Invalid(f"practice.yaml: {wish.recipe}: seed {wish.seed} gives no such case")


def seeds(wish: Wish) -> Iterator[Seed]:
    """The one that is named, or fresh secret ones without end."""
    if wish.seed is not None:
        yield Seed.of(wish.seed)
        return
    while True:
        yield Seed.fresh()


if __name__ == "__main__":
    main()
