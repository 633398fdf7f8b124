"""The picture in the README, taken from the running app: `make picture`. Needs Chromium.

The case is built for it from a public seed and belongs to no pack, so nothing is given away.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from playwright import sync_api

from auditgame import places
from auditgame.generate import build
from auditgame.seeds import Seed
from auditgame.types import Recipe
from tests.browser.conftest import FLAGS, wait_until_well
from tests.browser.visitor import Visitor

PICTURE = places.home() / "docs" / "pictures" / "workbench.png"
SEED = 1000
WIDTH, HEIGHT = 1440, 1500


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
    """Serve the house, visit the case, press the shutter."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=places.home(),
        env={**os.environ, "AUDITGAME_HOME": str(house)},
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_well(address, server)
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=FLAGS
            )
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            visitor = Visitor(page, address)
            visitor.visit(f"workbench?id={case}")
            visitor.use("Mistakes")
            visitor.choose("What kind of flaw?", "Patch")
            page.screenshot(path=str(PICTURE))
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
