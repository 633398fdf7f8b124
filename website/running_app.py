"""The running app in Chromium, for screenshots: builds a case, serves it, opens a page.

The case is built from a public seed and belongs to no pack, so it reveals no answer.
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
from website import ROOT

SEED = 1000
WIDTH = 1440
PATIENCE = 120_000
"""Milliseconds that a page may take to appear."""


def built(home: Path) -> str:
    """The id of a case, built in this folder."""
    written = (paths.recipes()[0] / "tutorial-picture.yaml").read_text()
    recipe = Recipe.model_validate(yaml.safe_load(written))
    return build(recipe, Seed.of(SEED), home / "challenges" / "built").name


@contextmanager
def visiting(home: Path, height: int) -> Iterator[Visitor]:
    """A browser window of this height on the app, served from this folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=ROOT,
        env={**os.environ, "AUDITGAME_HOME": str(home)},
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
