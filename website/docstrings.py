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
from typing import Any, NamedTuple

_CODE = re.compile(r"`+([^`]+)`+")
_SPECIAL = re.compile(r"([\\*|_])")
_NAME = re.compile(r"(?<![\w.\"])[A-Z]\w*")
"""A name in an annotation that may be a class."""


class _Example(NamedTuple):
    field: int


TUPLE_FIELD = type(_Example.field)
"""What the class of a named tuple holds for each field."""


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


class Written(str):
    """An annotation that is shown as it is written, without quotes."""

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, annotation: Any) -> Any:
        """The annotation's text; anything else as it is."""
        text = getattr(annotation, "__forward_arg__", annotation)
        return cls(text) if isinstance(text, str) else annotation


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
    parameters = [
        one.replace(annotation=Written.of(one.annotation))
        for key, one in found.parameters.items()
        if key not in ("self", "cls")
    ]
    shown = str(
        inspect.Signature(parameters, return_annotation=Written.of(found.return_annotation))
    )
    full = _NAME.sub(lambda match: _full_name(match[0], inspect.unwrap(function).__module__), shown)
    head, _, back = full.rpartition(" -> ")
    return (head, back) if head else (full, "")


def _full_name(name: str, module: str) -> str:
    """The path of the class of ours that this name means in a module; else the name itself."""
    source = _type_imports(module).get(name, module)
    found = getattr(importlib.import_module(source), name, None)
    if inspect.isclass(found) and found.__module__.startswith("auditgame."):
        return f"{found.__module__}.{found.__qualname__}"
    return name


def skip_member(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Sphinx's `autodoc-skip-member`: leave out what came from another library.

    The fields of a named tuple stand in its signature.
    """
    taken = inspect.isroutine(thing) or inspect.isclass(thing)
    elsewhere = taken and not str(thing.__module__).startswith("auditgame")
    return True if elsewhere or isinstance(thing, TUPLE_FIELD) else None


@functools.cache
def _type_imports(module: str) -> dict[str, str]:
    """Which name comes from which of our modules? Imports for type checking count, too."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("auditgame")
        for alias in node.names
    }
