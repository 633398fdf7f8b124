"""What must hold of every plug-in? The public contract test, one file of rules per kind.

A rule is a function of the plug-in's class; it yields what is wrong, in plain words, and
its docstring says what must hold. `auditgame check FILE.py` runs the rules on one file, and
the project's own tests run them over the whole catalogue.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args

from auditgame.registry import FOLDERS, Kind, instance_in
from auditgame.schema.errors import AuditgameError

Rule = Callable[[Any], Iterator[str]]


class RuleResult(NamedTuple):
    """A rule, and what is wrong with the plug-in under it; None where it holds."""

    rule: str
    fault: str | None


def rules(kind: Kind) -> tuple[Rule, ...]:
    """The rules for a kind of plug-in, in the order in which they are tried."""
    return importlib.import_module(f"auditgame.plugins.conformance.{kind}").RULES


def examine(kind: Kind, plugin: Any) -> list[RuleResult]:
    """Try every rule on a plug-in's class.

    AuditgameError where a data set's files are not on this machine, so that nothing can be said.
    """
    if kind == "dataset":
        from auditgame.plugins.conformance.dataset import require_data

        require_data(plugin)
    return [_try(rule, plugin) for rule in rules(kind)]


def _try(rule: Rule, plugin: Any) -> RuleResult:
    name = (inspect.getdoc(rule) or "").split("\n")[0]
    try:
        faults = list(rule(plugin))
    except Exception as error:
        faults = [f"{type(error).__name__}: {error}"]
    return RuleResult(name, "; ".join(faults) or None)


def load_file(path: Path) -> tuple[Kind, Any]:
    """The kind and class of the one plug-in in a Python file, which is run to find out."""
    spec = importlib.util.spec_from_file_location(_module_name(path), path)
    if spec is None or spec.loader is None:
        raise AuditgameError(f"plug-in '{path}': is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise AuditgameError(f"plug-in '{path}': {type(error).__name__}: {error}") from None
    found: list[tuple[Kind, Any]] = []
    for kind in get_args(Kind):
        contract = getattr(importlib.import_module(f"auditgame.{FOLDERS[kind]}"), kind.capitalize())
        mine = [thing for thing in vars(module).values() if _derives(thing, contract, module)]
        found += [(kind, instance_in(module, kind))] if mine else []
    if len(found) != 1:
        raise AuditgameError(
            f"plug-in '{path}': needs one class that derives Flaw, Tool, Dataset, Model or "
            f"Auditor; found {len(found)}"
        )
    if found[0][1].name != path.stem:
        raise AuditgameError(
            f"plug-in '{path}': is named '{found[0][1].name}' inside; file and name must agree"
        )
    return found[0]


def _module_name(path: Path) -> str:
    """A plug-in of the house keeps its own module name, so that it is not defined twice."""
    house = Path(__file__).resolve().parents[2]
    place = path.resolve()
    if place.parent.parent == house and place.parent.name in FOLDERS.values():
        return f"auditgame.{place.parent.name}.{place.stem}"
    return f"auditgame_plugin_{place.stem}"


def _derives(thing: object, contract: type, module: ModuleType) -> bool:
    return (
        inspect.isclass(thing)
        and issubclass(thing, contract)
        and thing.__module__ == module.__name__
    )
