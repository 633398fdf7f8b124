"""Docstrings of this project as reStructuredText, for Sphinx.

They are plain paragraphs with code in single backticks, so all else must be literal.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import sys
from typing import Any

_CODE = re.compile(r"`+([^`]+)`+")
_SPECIAL = re.compile(r"([\\*|_])")
_NAME = re.compile(r"(?<![\w.\"])[A-Z]\w*")
"""A name in an annotation that may be a class."""


def literal(line: str) -> str:
    """One line: code becomes ``code``, and no other character has a meaning."""
    parts = _CODE.split(line)
    return "".join(
        _code(part) if number % 2 else _SPECIAL.sub(r"\\\1", part)
        for number, part in enumerate(parts)
    )


def _code(text: str) -> str:
    return f"\\ ``{text.strip()}``\\ "


def process_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Sphinx's `autodoc-process-docstring`: rewrite the lines in place.

    Paragraphs are joined first, since code may run over the end of a line. The fields of a
    record follow, as they have no docstrings of their own.
    """
    text = "\n".join(lines)
    parts = [literal(" ".join(part.split())) for part in text.split("\n\n") if part.strip()]
    fields = getattr(thing, "model_fields", {}) if inspect.isclass(thing) else {}
    if fields:
        own = ", ".join(_code(name).strip() for name in fields)
        parts.append(f"Fields: {own}.")
    lines[:] = [line for part in parts for line in (part, "")]


def process_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Sphinx's `autodoc-process-signature`: annotations as they are written in the source.

    Names of our own classes get their full path, so that each leads to its one page.
    """
    if what == "class" and hasattr(thing, "model_fields"):
        return ("", "")
    if what not in ("function", "method", "class"):
        return None
    function = getattr(thing, "__func__", thing)
    try:
        found = inspect.signature(function)
    except ValueError:
        return ("", "")
    parameters = [one for key, one in found.parameters.items() if key not in ("self", "cls")]
    shown = str(found.replace(parameters=parameters)).replace("'", "")
    full = _NAME.sub(lambda match: _full_name(match[0], inspect.unwrap(function).__module__), shown)
    head, _, back = full.rpartition(" -> ")
    return (head, back) if head else (full, "")


def _full_name(name: str, module: str) -> str:
    """The path of the class of ours that this name means in a module; else the name itself."""
    source = _type_imports(module).get(name, module)
    found = getattr(importlib.import_module(source), name, None)
    ours = inspect.isclass(found) and found.__module__.startswith("auditgame.")
    return f"{found.__module__}.{found.__qualname__}" if ours else name


def skip_member(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Sphinx's `autodoc-skip-member`: leave out what a module took from another library."""
    taken = inspect.isroutine(thing) or inspect.isclass(thing)
    return True if taken and not str(thing.__module__).startswith("auditgame") else None


@functools.cache
def _type_imports(module: str) -> dict[str, str]:
    """Which name comes from which of our modules? Imports for type checking count, too."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("auditgame")
        for alias in node.names
    }
