"""The registry is the folder: `flaws/patch.py` is the flaw `patch`. Entry points add outsiders'."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from auditgame.schema.errors import AuditgameError, Invalid, NotFound

Kind = Literal["flaw", "tool", "dataset", "model", "auditor"]

FOLDERS: dict[Kind, str] = {
    "flaw": "flaws",
    "tool": "tools",
    "dataset": "datasets",
    "model": "models",
    "auditor": "auditors",
}


def _outside(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"auditgame.{FOLDERS[kind]}")}


def names(kind: Kind) -> list[str]:
    """The plug-ins of a kind: modules of its folder, and entry points. Imports none of them.

    Sub-packages of the folder hold what its plug-ins share, and are passed over.
    """
    folder = Path(__file__).parent / FOLDERS[kind]
    inside = [found.name for found in pkgutil.iter_modules([str(folder)]) if not found.ispkg]
    return sorted({*inside, *_outside(kind)})


def module_of(kind: Kind, name: str) -> str:
    """The dotted name of the module that holds this plug-in. It is not imported."""
    outside = _outside(kind)
    return outside[name].module if name in outside else f"auditgame.{FOLDERS[kind]}.{name}"


def suggest(
    what: str, name: str, known: Iterable[str], kind: type[AuditgameError] = Invalid
) -> AuditgameError:
    """An error that says what is unknown and what was probably meant.

    kind: `NotFound` where the name is that of a plug-in, a challenge or the like.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"
    return kind(f"unknown {what} '{name}'; {hint}")


def instance_in(module: ModuleType, kind: Kind) -> Any:
    """Which class of this module carries out the kind's contract? There must be exactly one."""
    contract = getattr(importlib.import_module(f"auditgame.{FOLDERS[kind]}"), kind.capitalize())
    found = [
        thing
        for thing in vars(module).values()
        if inspect.isclass(thing)
        and issubclass(thing, contract)
        and not inspect.isabstract(thing)
        and thing.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise Invalid(
            f"{module.__name__}: needs exactly one {kind} class, found {len(found)}; "
            f"derive one class from auditgame.{FOLDERS[kind]}.{kind.capitalize()}"
        )
    return found[0]


@functools.cache
def load(kind: Kind, name: str) -> Any:
    """The class of this name, imported now. Unknown names get a suggestion."""
    if name not in names(kind):
        raise suggest(kind, name, names(kind), NotFound)
    outside = _outside(kind)
    if name in outside:
        return outside[name].load()
    return instance_in(importlib.import_module(f"auditgame.{FOLDERS[kind]}.{name}"), kind)
