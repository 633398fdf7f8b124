"""A photographer for the running app: builds a case, serves it, visits it in Chromium.

The case is built from a public seed and belongs to no pack, so nothing is given away.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from playwright import sync_api

from auditgame import paths
from auditgame.challenges.build import build
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed
from tests.browser.conftest import FLAGS, wait_until_well
from tests.browser.visitor import Visitor

SEED = 1000
WIDTH = 1440
PATIENCE = 120_000
"""Milliseconds that a page may take to appear."""


def built(house: Path) -> str:
    """The id of the case to be photographed, built in this house."""
    told = (paths.recipes()[0] / "tutorial-picture.yaml").read_text()
    wanted = Recipe.model_validate(yaml.safe_load(told))
    return build(wanted, Seed.of(SEED), house / "challenges" / "built").name


@contextmanager
def visiting(house: Path, height: int) -> Iterator[Visitor]:
    """Someone at the browser, in a window of this height, while the house is served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=paths.checkout(),
        env={**os.environ, "AUDITGAME_HOME": str(house)},
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_well(address, server)
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=FLAGS
            )
            size = sync_api.ViewportSize(width=WIDTH, height=height)
            page = browser.new_page(viewport=size, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            yield Visitor(page, address)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
