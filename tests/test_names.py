"""Names of the package: a class name and a module name mean one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import auditgame

PACKAGE = Path(auditgame.__file__).parent

SHARED_CLASSES = {
    "Params": "The contract of a flaw: each family nests its own.",
    "Options": "The contract of a tool: each tool nests its own.",
}
"""Class names that may occur more than once, and why."""

COLLECTIONS = {
    "flaws": "one module for each family",
    "tools": "one module for each tool",
    "datasets": "one module for each data set",
    "models": "one module for each model",
    "auditors": "one module for each auditor",
    "auditors/detectors": "one module for each kind of flaw, named like the family",
    "ui/pages": "one module for each page, named like its address",
    "plugins/conformance": "one module for each kind of plug-in",
    "plugins/templates": "one module for each kind of plug-in",
}
"""Folders whose modules are named after something else; among the rest, a name occurs once."""


def modules() -> list[Path]:
    """Every source file, relative to the package."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """The name of a module; for a package's __init__, of its folder."""
    return path.parent.name if path.name == "__init__.py" else path.stem


def class_names(path: Path) -> Iterator[str]:
    """The classes of a file, nested ones included."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_no_class_name_occurs_twice() -> None:
    found = defaultdict(list)
    for path in modules():
        for name in class_names(path):
            found[name].append(path.as_posix())
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert twice.keys() - SHARED_CLASSES.keys() == set(), twice
    assert len(SHARED_CLASSES) <= 5


@pytest.mark.parametrize("name", SHARED_CLASSES)
def test_a_shared_class_name_is_still_shared(name: str) -> None:
    assert sum(name in class_names(path) for path in modules()) > 1


def test_no_module_name_occurs_twice_outside_the_collections() -> None:
    found = defaultdict(list)
    for path in modules():
        member = path.parent.as_posix() in COLLECTIONS and path.name != "__init__.py"
        if not member and path != Path("__init__.py"):
            found[module_name(path)].append(path.as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("folder", COLLECTIONS)
def test_every_collection_is_there(folder: str) -> None:
    assert (PACKAGE / folder / "__init__.py").is_file()
