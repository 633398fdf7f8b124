"""The picture in the README, taken from the running app: `make picture`. Needs Chromium.

The case is built for it from a public seed and belongs to no pack, so nothing is given away.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from auditgame import places
from auditgame.generate import build
from auditgame.seeds import Seed
from auditgame.types import Recipe
from docs.camera import visiting

PICTURE = places.home() / "docs" / "pictures" / "workbench.png"
SEED = 1000
HEIGHT = 1500


def main() -> None:
    """Build a case, open it, look at its mistakes, keep what is on the screen."""
    recipe = places.recipes() / "tutorial-picture.yaml"
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        challenges = house / "challenges"
        challenges.mkdir()
        (challenges / "references").symlink_to(places.home() / "challenges" / "references")
        wanted = Recipe.model_validate(yaml.safe_load(recipe.read_text()))
        photograph(house, build(wanted, Seed.of(SEED), challenges / "built").name)


def photograph(house: Path, case: str) -> None:
    """Visit the case and press the shutter."""
    with visiting(house, HEIGHT) as visitor:
        visitor.visit(f"workbench?id={case}")
        visitor.use("Mistakes")
        visitor.choose("What kind of flaw?", "Patch")
        visitor.page.screenshot(path=str(PICTURE))


if __name__ == "__main__":
    main()
