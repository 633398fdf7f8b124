"""Conformance tests for plug-ins: what must hold of each kind, one module of rules per kind.

A rule is a function of the plug-in's class. Its docstring states what must hold; it yields one
message for each violation. `auditgame check NAME` and `auditgame check FILE.py` run the rules on
one plug-in; the project's own tests run them on every plug-in.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from auditgame.datasets import Dataset
from auditgame.registry import FOLDERS, Kind, class_in, classes_in, load
from auditgame.registry.discovery import sources
from auditgame.schema.errors import Invalid

if TYPE_CHECKING:
    from auditgame.registry import Plugin

Rule = Callable[[Any], Iterator[str]]


class RuleResult(NamedTuple):
    """A rule, as its docstring states it, and the violations found; None where it holds."""

    rule: str
    fault: str | None


def rules(kind: Kind) -> tuple[Rule, ...]:
    """The rules for a kind of plug-in, in the order in which they are tested."""
    found: tuple[Rule, ...] = importlib.import_module(f"{__name__}.{kind}").RULES
    return found


def examine(kind: Kind, plugin: type[Plugin]) -> list[RuleResult]:
    """Test every rule on the class of a plug-in.

    Raises AuditgameError where a data set's files are not on this machine, so that it cannot be
    tested.
    """
    if issubclass(plugin, Dataset):
        from auditgame.plugins.conformance.dataset import require_data

        require_data(plugin)
    return [_test(rule, plugin) for rule in rules(kind)]


def _test(rule: Rule, plugin: type[Plugin]) -> RuleResult:
    statement = " ".join((inspect.getdoc(rule) or "").split("\n\n")[0].split())
    try:
        faults = list(rule(plugin))
    except Exception as error:
        faults = [f"{type(error).__name__}: {error}"]
    return RuleResult(statement, "; ".join(faults) or None)


def load_file(path: Path) -> tuple[Kind, type[Plugin]]:
    """The kind and the class of the one plug-in in a Python file.

    The file is run, unless the registry knows it: then the registry loads it. Raises
    AuditgameError where it does not define exactly one plug-in, under the name of the file.
    """
    known = _registered(path)
    if known is not None:
        return known
    module = _run(path)
    kinds: list[Kind] = [kind for kind in FOLDERS if classes_in(module, kind)]
    if len(kinds) != 1:
        raise Invalid(
            f"plug-in '{path}': needs one class that derives Flaw, Tool, Dataset, Model or "
            f"Auditor; found {len(kinds)}"
        )
    plugin = class_in(module, kinds[0])
    if plugin.name != path.stem:
        raise Invalid(
            f"plug-in '{path}': its class is named '{plugin.name}'; the name of the file must agree"
        )
    return kinds[0], plugin


def _registered(path: Path) -> tuple[Kind, type[Plugin]] | None:
    """The plug-in of the registry that this file defines, so that it is not defined twice."""
    for kind in FOLDERS:
        for name, (source, *_) in sources(kind).items():
            if source.file and source.file.resolve() == path.resolve():
                return kind, load(kind, name)
    return None


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"auditgame_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Invalid(f"plug-in '{path}': is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise Invalid(f"plug-in '{path}': {type(error).__name__}: {error}") from None
    return module
