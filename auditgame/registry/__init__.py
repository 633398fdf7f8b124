"""Plug-ins by kind and name: flaws, tools, data sets, models and auditors.

The folder is the registry: `auditgame/flaws/patch.py` defines the flaw `patch`. More plug-ins come
from installed packages, by entry points of the group `auditgame.flaws`, and from the user's own
folder, as `plugins/flaws/NAME.py` in the user data. A name of auditgame's own cannot be taken; a
name that two others define is refused until one of them is removed.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
from collections.abc import Iterable, Iterator
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard, overload

from auditgame.registry.discovery import FOLDERS, LABELS, Kind, PluginSource, sources
from auditgame.schema.errors import AuditgameError, Conflict, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from auditgame.auditors import Auditor
    from auditgame.datasets import Dataset
    from auditgame.flaws import Flaw
    from auditgame.models import Model
    from auditgame.tools import Tool

    Plugin: TypeAlias = Flaw | Tool | Dataset | Model | Auditor

__all__ = ["FOLDERS", "LABELS", "Kind", "find", "load", "names", "require", "suggest", "usable"]


def names(kind: Kind) -> list[str]:
    """The names of all plug-ins of a kind. Imports none of them."""
    return sorted(sources(kind))


def usable(kind: Kind) -> list[str]:
    """The names of the plug-ins of a kind that can be loaded; `faults` is about the others."""
    return [name for name in names(kind) if refusal(kind, name) is None]


def faults(kind: Kind) -> Iterator[str]:
    """What is wrong with plug-ins from outside auditgame: one line each, with what to do."""
    label = LABELS[kind]
    for name, (first, *others) in sources(kind).items():
        reason = None if first.shipped else refusal(kind, name)
        if reason:
            yield reason
        for other in others if first.shipped else ():
            yield (
                f"{label} '{name}' from {other.provider}: is not used, for auditgame has a {label} "
                "of this name; rename it"
            )


def find(kind: Kind, name: str) -> PluginSource:
    """The definition that a name stands for; AuditgameError where there is none, or several."""
    found = sources(kind)
    if name not in found:
        raise suggest(LABELS[kind], name, found, NotFound)
    first, *others = found[name]
    if others and not first.shipped:
        raise Conflict(
            f"{LABELS[kind]} '{name}': is defined by {first.provider} and by "
            f"{others[0].provider}; remove or rename one of them"
        )
    return first


@overload
def load(kind: Literal["flaw"], name: str) -> type[Flaw]: ...
@overload
def load(kind: Literal["tool"], name: str) -> type[Tool]: ...
@overload
def load(kind: Literal["dataset"], name: str) -> type[Dataset]: ...
@overload
def load(kind: Literal["model"], name: str) -> type[Model]: ...
@overload
def load(kind: Literal["auditor"], name: str) -> type[Auditor]: ...
@overload
def load(kind: Kind, name: str) -> type[Plugin]: ...
def load(kind: Kind, name: str) -> type[Plugin]:
    """The class of this name, imported now.

    Raises AuditgameError for an unknown name, with a suggestion, and for a plug-in from outside
    auditgame that cannot be imported or is not of its kind and name.
    """
    return _load(kind, name)


def refusal(kind: Kind, name: str) -> str | None:
    """Why can this plug-in not be loaded? None where it can."""
    try:
        load(kind, name)
    except AuditgameError as error:
        return str(error)
    return None


def require(kind: Kind, name: str, user: str) -> None:
    """Raise Unavailable where a plug-in that `user` needs, such as a challenge, is missing."""
    if name not in sources(kind):
        raise Unavailable(
            f"{user} needs the {LABELS[kind]} plug-in '{name}', which is not installed; install "
            "the package that provides it"
        )


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


def classes_in(module: ModuleType, kind: Kind) -> list[type[Plugin]]:
    """The classes of this kind that a module defines itself."""
    mine = (thing for thing in vars(module).values() if _is_plugin(thing, kind))
    return [thing for thing in mine if thing.__module__ == module.__name__]


def class_in(module: ModuleType, kind: Kind) -> type[Plugin]:
    """The class of this kind that a module defines; AuditgameError unless there is just one."""
    found = classes_in(module, kind)
    if len(found) != 1:
        raise Invalid(
            f"{module.__name__}: needs exactly one {LABELS[kind]} class, found {len(found)}; "
            f"derive one class from auditgame.{FOLDERS[kind]}.{kind.capitalize()}"
        )
    return found[0]


@functools.cache
def _load(kind: Kind, name: str) -> type[Plugin]:
    source = find(kind, name)
    if source.shipped:
        return class_in(importlib.import_module(source.module), kind)
    try:
        return _import(source)
    except Exception as error:
        own = isinstance(error, AuditgameError)
        reason = str(error) if own else f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Unavailable(
            f"{LABELS[kind]} '{name}' from {source.provider}: cannot be loaded ({reason}); repair "
            "or remove it"
        ) from error


def _import(source: PluginSource) -> type[Plugin]:
    """The class of a plug-in from outside auditgame, if it is of its kind and name."""
    if source.folder is not None:
        _extend_package(f"auditgame.{FOLDERS[source.kind]}", str(source.folder))
    module = importlib.import_module(source.module)
    if source.attribute:
        found = attrgetter(source.attribute)(module)
        if not _is_plugin(found, source.kind):
            raise Invalid(f"'{source.attribute}' is no {LABELS[source.kind]} class")
    else:
        found = class_in(module, source.kind)
    if found.name != source.name:
        raise Invalid(f"its class is named '{found.name}'; the two names must agree")
    return found


def _extend_package(package: str, folder: str) -> None:
    """Let the modules of the user's folder be imported as if they lay in the package."""
    search = importlib.import_module(package).__path__
    if folder not in search:
        search.append(folder)
    importlib.invalidate_caches()


def _is_plugin(thing: object, kind: Kind) -> TypeGuard[type[Plugin]]:
    contract = getattr(importlib.import_module(f"auditgame.{FOLDERS[kind]}"), kind.capitalize())
    return inspect.isclass(thing) and issubclass(thing, contract) and not inspect.isabstract(thing)
