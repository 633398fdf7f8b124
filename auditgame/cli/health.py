"""What does a game need, and is it here? Each finding with its remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from auditgame import paths
from auditgame.registry import FOLDERS, Kind, names
from auditgame.schema.errors import AuditgameError

NEEDED = ("torch", "torchvision", "streamlit", "pandas", "pydantic", "sqlalchemy", "typer", "rich")
EXTRAS = {"transformers": "hf", "psycopg": "postgres"}
FREE_BYTES = 2 * 2**30


class HealthCheck(NamedTuple):
    """One thing looked for. missing: the game cannot do without; absent: it can."""

    what: str
    state: Literal["fine", "absent", "missing"]
    words: str
    remedy: str = ""


def health_checks(database: str | None) -> list[HealthCheck]:
    """Everything that was looked for, in order."""
    looks: list[Callable[[], HealthCheck]] = [
        _python,
        *(lambda name=name: _package(name) for name in NEEDED),
        *(lambda name=name, extra=extra: _extra(name, extra) for name, extra in EXTRAS.items()),
        _threads,
        lambda: _database(database),
        *(lambda kind=kind: _catalogue(kind) for kind in FOLDERS),
        _practice,
        _siblings,
        _chromium,
        _disk,
    ]
    return [look() for look in looks]


def _python() -> HealthCheck:
    return HealthCheck("Python", "fine", platform.python_version())


def _package(name: str) -> HealthCheck:
    try:
        return HealthCheck(name, "fine", version(name))
    except PackageNotFoundError:
        return HealthCheck(name, "missing", "not installed", "pip install auditgame")


def _extra(name: str, extra: str) -> HealthCheck:
    if importlib.util.find_spec(name):
        return HealthCheck(name, "fine", version(name))
    return HealthCheck(name, "absent", "not installed", f"pip install 'auditgame[{extra}]'")


def _threads() -> HealthCheck:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return HealthCheck("processors", "fine", f"{cores} cores")


def _database(url: str | None) -> HealthCheck:
    from sqlalchemy.exc import SQLAlchemyError

    from auditgame.ledger import Ledger
    from auditgame.ledger.storage import default_url

    try:
        ledger = Ledger(url or default_url(paths.record()))
        head = ledger.verify_chain()
        ledger.close()
    except (SQLAlchemyError, OSError, ValueError) as error:
        words = str(error) if isinstance(error, AuditgameError) else type(error).__name__
        return HealthCheck("database", "missing", words, "check --db and AUDITGAME_DATABASE_URL")
    return HealthCheck("database", "fine", f"up to date, chain whole, head {head[:12]}")


def _catalogue(kind: Kind) -> HealthCheck:
    found = names(kind)
    what = f"{kind.replace('dataset', 'data set')}s"
    return HealthCheck(what, "fine" if found else "missing", ", ".join(found))


def _practice() -> HealthCheck:
    found = len(list(paths.practice().glob("*/bundle.json")))
    if found:
        return HealthCheck("practice pack", "fine", f"{found} challenges")
    remedy = "run from a checkout, set AUDITGAME_HOME, or build some: auditgame build RECIPE"
    return HealthCheck("practice pack", "absent", f"none in {paths.practice()}", remedy)


def _siblings() -> HealthCheck:
    found = sorted(path.name for path in paths.references().glob("*.*") if path.is_dir())
    if found:
        return HealthCheck("clean siblings", "fine", ", ".join(found))
    remedy = "auditgame references storybook small_cnn"
    return HealthCheck("clean siblings", "missing", f"none in {paths.references()}", remedy)


def _chromium() -> HealthCheck:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None) or _playwrights()
    if found:
        return HealthCheck("Chromium", "fine", str(found))
    return HealthCheck(
        "Chromium", "absent", "not found; only browser tests need it", "playwright install chromium"
    )


def _playwrights() -> Path | None:
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    folder = Path(named) if named else Path.home() / ".cache" / "ms-playwright"
    return next(folder.glob("chromium*"), None)


def _disk() -> HealthCheck:
    folder = next(path for path in (paths.record(), *paths.record().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    words = f"{free / 2**30:.1f} GB free at {folder}"
    if free >= FREE_BYTES:
        return HealthCheck("disk", "fine", words)
    return HealthCheck("disk", "absent", words, "keep 2 GB free for builds")
