"""Prove the wheel: build it, install it for an unprivileged user far from any checkout, and play.

Run as root it drops to `nobody`; otherwise it stays with whoever runs it. What a command shows is
asserted; the first assertion that fails ends the program. Commands run without a network.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
LARGEST_WHEEL = 60 * 10**6
HASHED_BYTES = 32 * 2**20
"""Larger files, all of CUDA and torch, are compared by size and time of change."""
USER = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
SEED = "3"


class Installation(NamedTuple):
    """A fresh environment and the folder in which its user lives."""

    environment: Path
    home: Path

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return next(self.environment.glob("lib/python3*/site-packages"))

    @property
    def user_data(self) -> Path:
        """Where the user's own things must lie."""
        return self.home / ".local" / "share" / "auditgame"

    def command(self, *words: object) -> list[str]:
        """The installed program with these words behind it."""
        return [str(self.environment / "bin" / "auditgame"), *map(str, words)]

    def variables(self, **more: str) -> dict[str, str]:
        """Nothing of the environment that the checks run in; compiled modules lie elsewhere."""
        pycache = str(self.home / "pycache")
        return {"HOME": str(self.home), "PATH": os.defpath, "PYTHONPYCACHEPREFIX": pycache, **more}

    def run(self, *words: object, code: int = 0, **variables: str) -> str:
        """What the command prints; on standard error where it must fail with `code`."""
        done = subprocess.run(
            [*without_network(), *self.command(*words)],
            cwd=self.home,
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stderr}"
        return done.stderr if code else done.stdout

    def json(self, *words: object) -> Any:
        """What the command prints with --json."""
        return json.loads(self.run(*words, "--json"))


def main() -> None:
    """Build, install, use, compare, uninstall."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        wheel = timed("build the wheel", build, root)
        installed = timed("install it", install, root, wheel)
        before = timed("digest site-packages", digests, installed.packages)
        for step in (lists, serves, submits, audits, builds, refuses_what_it_cannot_write):
            timed(step.__name__.replace("_", " "), step, installed)
        assert timed("digest again", digests, installed.packages) == before
        timed("uninstall", uninstall, installed)


def timed(words: str, step: Any, *inputs: Any) -> Any:
    """Do a step and say how long it took."""
    start = time.monotonic()
    result = step(*inputs)
    print(f"wheel: {words}: {time.monotonic() - start:.1f} s", flush=True)
    return result


def build(root: Path) -> Path:
    """The wheel, built from the source distribution, built from the checkout."""
    uv("build", "--out-dir", root / "dist", CHECKOUT)
    (wheel,) = (root / "dist").glob("*.whl")
    assert wheel.stat().st_size < LARGEST_WHEEL, f"{wheel.stat().st_size} bytes"
    return wheel


def install(root: Path, wheel: Path) -> Installation:
    """A fresh environment with what the lock names and the wheel, owned by the user."""
    home = root / "home"
    home.mkdir()
    os.chown(home, USER.pw_uid, USER.pw_gid)
    made = Installation(root / "environment", home)
    uv("venv", "--python", interpreter(), made.environment)
    python = ("--python", made.environment / "bin" / "python")
    uv("pip", "install", *python, "-r", CHECKOUT / "requirements.lock")
    uv("pip", "install", *python, "--no-deps", "--link-mode", "copy", wheel)
    uv("pip", "check", *python)
    for path in made.packages.rglob("*"):  # Files of other packages are links into uv's cache.
        if path.is_dir() or "auditgame" in path.relative_to(made.packages).parts[0]:
            os.chown(path, USER.pw_uid, USER.pw_gid)
    return made


def interpreter() -> str:
    """A Python that the user may run; the one that runs this may lie in somebody's home."""
    for name in (sys.executable, *map(shutil.which, ("python3", "python3.13", "python3.12"))):
        real = name and os.path.realpath(name)
        wanted = "import sys; sys.exit(sys.version_info < (3, 11))"
        if real and subprocess.run([*as_user(), real, "-c", wanted], check=False).returncode == 0:
            return real
    raise SystemExit(f"wheel: {USER.pw_name} can run no Python of version 3.11 or newer")


def uv(*words: object) -> None:
    """Run uv; what it says is shown where it fails."""
    done = subprocess.run([UV, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def as_user() -> list[str]:
    """The prefix that drops to the unprivileged user."""
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups"]


def without_network() -> list[str]:
    """The prefix that drops to the user and, where the machine allows it, cuts the network."""
    cut = ["unshare", "--net"]
    allowed = subprocess.run([*cut, "true"], capture_output=True, check=False).returncode == 0
    return [*(cut if allowed else []), *as_user()]


def digests(folder: Path) -> dict[str, object]:
    """What every file holds; of very large ones, their size and time of change."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.stat().st_size < HASHED_BYTES
        else (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@functools.cache
def cards(installed: Installation) -> list[dict[str, Any]]:
    """What a fresh installation lists."""
    return installed.json("list")


def lists(installed: Installation) -> None:
    """Every practice case is there, and the board has its baselines."""
    practice = {path.parent.name for path in CHECKOUT.glob("challenges/practice/*/bundle.json")}
    assert {card["id"] for card in cards(installed)} == practice
    assert len(installed.json("standings")) > 1
    assert (installed.user_data / "leaderboard" / "ledger.sqlite3").is_file()


def serves(installed: Installation) -> None:
    """`play` answers with its first page, and after SIGKILL the port is free."""
    port = free_port()
    with serving(installed, port) as server:
        address = f"http://127.0.0.1:{port}"
        assert "<title>" in first_page(address, server)
        shown = title(address)
        assert shown == "auditgame", shown
    assert socket.socket().connect_ex(("127.0.0.1", port)) != 0
    secret = installed.user_data / "leaderboard" / "host.guests"
    assert secret.stat().st_mode & 0o777 == 0o600


@contextmanager
def serving(installed: Installation, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The app at this port, killed at the end of the block."""
    command = [*as_user(), *installed.command("play", "--host", "127.0.0.1", "--port", port)]
    log = subprocess.DEVNULL
    server = subprocess.Popen(
        command, cwd=installed.home, env=installed.variables(), stdout=log, stderr=log
    )
    try:
        yield server
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def first_page(address: str, server: subprocess.Popen[bytes]) -> str:
    """The page at this address, once the server answers."""
    for _ in range(240):
        assert server.poll() is None, "the server ended at once"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.status == 200
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.25)
    raise AssertionError("the server did not answer")


def title(address: str) -> str:
    """What a browser shows as the title of the page, once its script has run."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(address)
        page.wait_for_function("!['Streamlit', 'app'].includes(document.title)", timeout=60_000)
        return page.title()


def submits(installed: Installation) -> None:
    """A diagnosis is judged and stands in the record."""
    case = cards(installed)[0]["id"]
    diagnosis = installed.home / "diagnosis.json"
    diagnosis.write_text('{"p_flawed": 0.5}')
    diagnosis.chmod(0o644)
    receipt = installed.json("submit", case, "--player", "ada", "--diagnosis", diagnosis)
    assert receipt["attempt"] == 1


def audits(installed: Installation) -> None:
    """A tool answers, and a bundled auditor plays a case."""
    case = next(card["id"] for card in cards(installed) if card["dataset"] == "digits")
    used = installed.json("use", "predict", case, "--option", "examples=0-3", "--player", "ada")
    assert used["cost"] == 4
    (receipt,) = installed.json("audit", case, "--auditor", "coin")
    assert receipt["challenge"] == case


def builds(installed: Installation) -> None:
    """A recipe by its name gives a certified challenge in the user's data."""
    made = installed.json("build", "digits", "--seed", SEED, "--no-microscope")
    assert Path(made["path"]).parent == installed.user_data / "challenges" / "built"
    assert made["id"] in {card["id"] for card in installed.json("list")}


def refuses_what_it_cannot_write(installed: Installation) -> None:
    """A folder that is not the user's is refused in one line."""
    said = installed.run("list", code=6, AUDITGAME_HOME="/nowhere")
    assert said.count("\n") == 1 and "/nowhere" in said and "AUDITGAME_HOME" in said, said


def uninstall(installed: Installation) -> None:
    """Nothing is left in the environment."""
    uv("pip", "uninstall", "--python", installed.environment / "bin" / "python", "auditgame")
    left = [str(path) for path in installed.environment.rglob("*") if "auditgame" in path.name]
    assert left == [], left


if __name__ == "__main__":
    main()
