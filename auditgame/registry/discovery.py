"""Where plug-ins are defined: in auditgame, in installed packages, in the user's own folder.

Looking imports nothing and runs no code of a plug-in.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

from auditgame import paths

Kind = Literal["flaw", "tool", "dataset", "model", "auditor"]

FOLDERS: dict[Kind, str] = {
    "flaw": "flaws",
    "tool": "tools",
    "dataset": "datasets",
    "model": "models",
    "auditor": "auditors",
}
"""The package of each kind: also the name of its folder and the end of its entry point group."""
LABELS: dict[Kind, str] = {
    "flaw": "flaw",
    "tool": "tool",
    "dataset": "data set",
    "model": "model",
    "auditor": "auditor",
}
"""What people call each kind."""
SHIPPED = "auditgame"


class PluginSource(NamedTuple):
    """One definition of a plug-in.

    attribute: the class in the module; empty where the module defines just one of the kind.
    provider: `auditgame`, or the package or file that brings the plug-in, as an error names it.
    folder: the user's folder that holds the module; None for every other definition.
    """

    kind: Kind
    name: str
    module: str
    attribute: str
    provider: str
    folder: Path | None = None

    @property
    def shipped(self) -> bool:
        """Does it come with auditgame?"""
        return self.provider == SHIPPED

    @property
    def file(self) -> Path | None:
        """The Python file that defines it, if it has one."""
        return self.folder / f"{self.name}.py" if self.folder else source_file(self.module)


def sources(kind: Kind) -> dict[str, list[PluginSource]]:
    """All definitions of each name: auditgame's own first, then packages', then the user's."""
    found: dict[str, list[PluginSource]] = {}
    for source in (*_shipped(kind), *_installed(kind), *_users(kind)):
        found.setdefault(source.name, []).append(source)
    return found


def source_file(module: str) -> Path | None:
    """The Python file of a module; None where none is found. No package of it is imported."""
    search: Iterable[str] | None = None
    spec: ModuleSpec | None = None
    for part in accumulate(module.split("."), "{}.{}".format):
        spec = _spec(part, search)
        if spec is None:
            return None
        search = spec.submodule_search_locations
    origin = (spec.origin if spec else None) or ""
    return Path(origin) if origin.endswith(".py") else None


def _spec(module: str, search: Iterable[str] | None) -> ModuleSpec | None:
    """What the import system would load for a module of a package that lies in `search`."""
    found = (finder.find_spec(module, search) for finder in sys.meta_path)  # type: ignore[arg-type]
    return next(filter(None, found), None)


def _shipped(kind: Kind) -> Iterator[PluginSource]:
    for name in _modules(paths.PACKAGE / FOLDERS[kind]):
        yield PluginSource(kind, name, f"auditgame.{FOLDERS[kind]}.{name}", "", SHIPPED)


def _installed(kind: Kind) -> Iterator[PluginSource]:
    for point in _entry_points(f"auditgame.{FOLDERS[kind]}"):
        package = f"package '{point.dist.name}'" if point.dist else f"entry point '{point.value}'"
        yield PluginSource(kind, point.name, point.module, point.attr, package)


def _users(kind: Kind) -> Iterator[PluginSource]:
    folder = paths.plugins() / FOLDERS[kind]
    for name in _modules(folder):
        module = f"auditgame.{FOLDERS[kind]}.{name}"
        yield PluginSource(kind, name, module, "", f"'{folder / name}.py'", folder)


def _modules(folder: Path) -> list[str]:
    """The modules in a folder. Sub-packages hold what they share, and are no plug-ins."""
    found = pkgutil.iter_modules([str(folder)])
    return [module.name for module in found if not module.ispkg and module.name.isidentifier()]


@functools.cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))
