"""Is the installation complete? Each check with its remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from auditgame import paths
from auditgame.registry import FOLDERS, LABELS, Kind, faults, names
from auditgame.schema.errors import AuditgameError, Unavailable

EXTRAS = {"transformers": "hf", "psycopg": "postgres"}
FREE_BYTES = 2 * 2**30
INSTALL = "pip install auditgame"


class HealthCheck(NamedTuple):
    """The result of one check. missing: the game needs it; absent: it is optional."""

    what: str
    state: Literal["fine", "absent", "missing"]
    words: str
    remedy: str = ""


def health_checks() -> list[HealthCheck]:
    """Run every check, in order."""
    checks: list[Callable[[], HealthCheck]] = [
        _python,
        *(lambda name=name: _package(name) for name in needed()),
        *(lambda name=name, extra=extra: _extra(name, extra) for name, extra in EXTRAS.items()),
        _threads,
        _database,
        *(lambda kind=kind: _plugins(kind) for kind in FOLDERS),
        _practice,
        _references,
        _chromium,
        _disk,
    ]
    return [*(_run(check) for check in checks), *_plugin_faults()]


def needed() -> list[str]:
    """The required packages; empty where auditgame itself is not installed as a package."""
    try:
        lines = requires("auditgame") or []
    except PackageNotFoundError:
        return []
    found = (re.match(r"[\w.-]+", line) for line in lines if ";" not in line)
    return sorted(match[0] for match in found if match)


def require_packages() -> None:
    """Unavailable where a required package is missing."""
    missing = [name for name in needed() if _package(name).state == "missing"]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}; run: {INSTALL}")


def _run(check: Callable[[], HealthCheck]) -> HealthCheck:
    try:
        return check()
    except ModuleNotFoundError as error:
        return HealthCheck(str(error.name), "missing", "not installed", INSTALL)


def _python() -> HealthCheck:
    return HealthCheck("Python", "fine", platform.python_version())


def _package(name: str) -> HealthCheck:
    try:
        return HealthCheck(name, "fine", version(name))
    except PackageNotFoundError:
        return HealthCheck(name, "missing", "not installed", INSTALL)


def _extra(name: str, extra: str) -> HealthCheck:
    if importlib.util.find_spec(name):
        return HealthCheck(name, "fine", version(name))
    return HealthCheck(name, "absent", "not installed", f"pip install 'auditgame[{extra}]'")


def _threads() -> HealthCheck:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return HealthCheck("processors", "fine", f"{cores} cores")


def _database() -> HealthCheck:
    from sqlalchemy.exc import SQLAlchemyError

    from auditgame.ledger import Ledger

    try:
        ledger = Ledger()
        head = ledger.verify_chain()
        ledger.close()
    except (SQLAlchemyError, OSError, ValueError) as error:
        words = str(error) if isinstance(error, AuditgameError) else type(error).__name__
        return HealthCheck("database", "missing", words, "check --db and AUDITGAME_DATABASE_URL")
    return HealthCheck("database", "fine", f"up to date, hash chain valid, head {head[:12]}")


def _plugins(kind: Kind) -> HealthCheck:
    found = names(kind)
    return HealthCheck(f"{LABELS[kind]}s", "fine" if found else "missing", ", ".join(found))


def _plugin_faults() -> list[HealthCheck]:
    """Plug-ins from outside auditgame that cannot be used; the remedy ends each error."""
    errors = [(kind, fault.rpartition("; ")) for kind in FOLDERS for fault in faults(kind)]
    return [
        HealthCheck(f"{LABELS[kind]} plug-in", "absent", words, remedy)
        for kind, (words, _, remedy) in errors
    ]


def _practice() -> HealthCheck:
    found = len(list(paths.practice().glob("*/bundle.json")))
    if found:
        return HealthCheck("practice pack", "fine", f"{found} challenges")
    remedy = "unset AUDITGAME_CONTENT, or build some: auditgame build RECIPE"
    return HealthCheck("practice pack", "absent", f"none in {paths.practice()}", remedy)


def _references() -> HealthCheck:
    folders = paths.references()
    found = {path.name for folder in folders for path in folder.glob("*.*") if path.is_dir()}
    if found:
        return HealthCheck("reference models", "fine", ", ".join(sorted(found)))
    remedy = "unset AUDITGAME_CONTENT, or run: auditgame references storybook small_cnn"
    return HealthCheck("reference models", "missing", f"none in {folders[0]}", remedy)


def _chromium() -> HealthCheck:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None) or _playwright_browser()
    if found:
        return HealthCheck("Chromium", "fine", str(found))
    return HealthCheck(
        "Chromium", "absent", "not found; only browser tests need it", "playwright install chromium"
    )


def _playwright_browser() -> Path | None:
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    folder = Path(named) if named else Path.home() / ".cache" / "ms-playwright"
    return next(folder.glob("chromium*"), None)


def _disk() -> HealthCheck:
    home = paths.user_data().absolute()
    folder = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(folder, os.W_OK):
        remedy = "set AUDITGAME_HOME to a folder that you may write to"
        return HealthCheck("disk", "missing", f"{folder} cannot be written", remedy)
    free = shutil.disk_usage(folder).free
    words = f"{free / 2**30:.1f} GB free at {folder}"
    if free >= FREE_BYTES:
        return HealthCheck("disk", "fine", words)
    return HealthCheck("disk", "absent", words, "keep 2 GB free for builds")
