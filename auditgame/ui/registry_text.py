"""What do the docstrings of the registry say? Read from the source; nothing is imported."""

from __future__ import annotations

import ast
import functools
import inspect
from pathlib import Path
from typing import NamedTuple

from auditgame.registry import FOLDERS, Kind, names

PACKAGE = Path(__file__).resolve().parents[1]


class PluginText(NamedTuple):
    """One instance of the registry, as its source describes it."""

    name: str
    title: str
    text: str
    modality: frozenset[str] = frozenset({"image", "text"})
    asks: str = ""


@functools.cache
def plugin_text(kind: Kind, name: str) -> PluginText:
    """What the source says of one flaw, tool, data set, model or auditor."""
    path = PACKAGE / FOLDERS[kind] / f"{name}.py"
    fallback = name.replace("_", " ").capitalize()
    if not path.is_file():
        return PluginText(name, fallback, "From an installed plug-in.")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and _strings(node, "name") == [name]:
            text = inspect.cleandoc(ast.get_docstring(node) or "")
            title = _strings(node, "title") or [fallback]
            asks = _strings(node, "asks") or [""]
            return PluginText(name, title[0], text, frozenset(_strings(node, "modality")), asks[0])
    return PluginText(name, fallback, "")


def plugin_texts(kind: Kind) -> list[PluginText]:
    """Every instance of a kind."""
    return [plugin_text(kind, name) for name in names(kind)]


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, each on one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _strings(node: ast.ClassDef, name: str) -> list[str]:
    """The strings in what the class attribute of this name is set to."""
    for line in node.body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                parts = (
                    part.value for part in ast.walk(line.value) if isinstance(part, ast.Constant)
                )
                return [part for part in parts if isinstance(part, str)]
    return []
