"""Plug-ins that exist for one test only: afterwards the registry knows nothing of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditgame import registry
from auditgame.plugins import descriptions
from auditgame.registry import FOLDERS, discovery


def forget() -> None:
    """Let the registry look for plug-ins again."""
    for kept in (discovery._entry_points, registry._load, descriptions._described):
        kept.cache_clear()
    descriptions._statements.cache_clear()


@contextmanager
def only_here(folder: Path) -> Iterator[None]:
    """Drop the modules under this folder, and what the registry kept of them, at the end."""
    packages = [importlib.import_module(f"auditgame.{name}") for name in FOLDERS.values()]
    searched = [list(package.__path__) for package in packages]
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]
    for package, search in zip(packages, searched, strict=True):
        package.__path__[:] = search
    forget()
