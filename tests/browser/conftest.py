"""A server of its own, a real Chromium, and a list of every request that was made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditgame import paths

CHECKOUT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
PATIENCE_MS = 240_000


def absent(reason: str) -> None:
    """Skip, saying why; fail where a browser is required."""
    if os.environ.get("AUDITGAME_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """User data of its own, with an empty record."""
    if not list(paths.practice().glob("*/bundle.json")):
        pytest.skip("no practice pack in challenges/practice; build it with `make practice`")
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="session")
def address(home: Path) -> Iterator[str]:
    """The address of a running app."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "AUDITGAME_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment["AUDITGAME_CACHE"] = str(home / "cache")
    environment.pop("AUDITGAME_DATABASE_URL", None)
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--server.port", str(port)],
            cwd=CHECKOUT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    wait_until_well(url, server)
    yield url
    server.terminate()
    server.wait(20)


def wait_until_well(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if server.poll() is not None:
            pytest.fail("the server ended at once")
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
    pytest.fail("the server did not start")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A running Chromium."""
    try:
        from playwright import sync_api as api
    except ImportError:
        absent("playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def player(chromium: object, address: str) -> Iterator[object]:
    """A new visitor, in a window of 1440 by 900."""
    from tests.browser.visitor import Visitor

    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield Visitor(context.new_page(), address)
    context.close()
