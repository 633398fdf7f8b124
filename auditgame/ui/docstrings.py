"""What do the docstrings of the registry say? Read from the source; nothing is imported."""

from __future__ import annotations

import ast
import functools
import inspect
from pathlib import Path
from typing import NamedTuple

from auditgame.catalog import FOLDERS, Kind, names

HOUSE = Path(__file__).resolve().parents[1]


class Leaf(NamedTuple):
    """One instance of the registry, as its source describes it."""

    name: str
    title: str
    text: str


@functools.cache
def leaf(kind: Kind, name: str) -> Leaf:
    """Title and help text of one flaw, tool, data set, model or auditor."""
    path = HOUSE / FOLDERS[kind] / f"{name}.py"
    fallback = name.replace("_", " ").capitalize()
    if not path.is_file():
        return Leaf(name, fallback, "From an installed plug-in.")
    body = ast.parse(path.read_text(encoding="utf-8")).body
    contract = kind.capitalize()
    for node in body:
        if isinstance(node, ast.ClassDef) and contract in map(_named, node.bases):
            text = inspect.cleandoc(ast.get_docstring(node) or "")
            return Leaf(name, _title(node) or fallback, text)
    return Leaf(name, fallback, "")


def leaves(kind: Kind) -> list[Leaf]:
    """Every instance of a kind."""
    return [leaf(kind, name) for name in names(kind)]


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, each on one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _named(base: ast.expr) -> str:
    return base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")


def _title(node: ast.ClassDef) -> str | None:
    for line in node.body:
        target = line.target if isinstance(line, ast.AnnAssign) else None
        if isinstance(line, ast.Assign):
            target = line.targets[0]
        if isinstance(target, ast.Name) and target.id == "title":
            value = getattr(line, "value", None)
            return str(value.value) if isinstance(value, ast.Constant) else None
    return None
