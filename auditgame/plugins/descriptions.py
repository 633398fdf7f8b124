"""What the source of a plug-in says of it: title, help, modality and question. Imports no plug-in.

The app and the command line take every name that they show from here, so that a family, a tool,
a data set or a model has one title, and listing them stays free of torch.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from auditgame.registry import Kind, module_of, names


class PluginText(NamedTuple):
    """One plug-in as its source describes it.

    name: what one types. title: what one reads. text: the docstring. asks: for a tool, the
    question that it helps to answer.
    """

    name: str
    title: str
    text: str = ""
    modality: frozenset[str] = frozenset({"image", "text"})
    asks: str = ""


@functools.cache
def plugin_text(kind: Kind, name: str) -> PluginText:
    """The description of one plug-in. Where none is found, the title is made from the name."""
    described = PluginText(name, name.replace("_", " ").capitalize())
    module = module_of(kind, name)
    for node in _classes(module):
        if _strings(module, node, "name") == [name]:
            title, asks = (_strings(module, node, field) for field in ("title", "asks"))
            modality = _modality(module, node)
            return PluginText(
                name,
                title[0] if title else described.title,
                inspect.cleandoc(ast.get_docstring(node) or ""),
                modality or described.modality,
                asks[0] if asks else "",
            )
    return described


def title(kind: Kind, name: str) -> str:
    """What a plug-in is called wherever people read of it."""
    return plugin_text(kind, name).title


def plugin_texts(kind: Kind) -> list[PluginText]:
    """Every plug-in of a kind, by code name."""
    return [plugin_text(kind, name) for name in names(kind)]


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring, each on one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


# ------------------------------------------------------------------ reading source


@functools.cache
def _tree(module: str) -> ast.Module:
    """The parsed source of a module; empty where it has none. Only its name is looked up."""
    top, *inner = module.split(".")
    found = find_spec(top)
    folders = found.submodule_search_locations if found else None
    if folders:
        path = Path(folders[0], *inner)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    else:
        path = Path(found.origin or "") if found else Path()
    return ast.parse(path.read_text(encoding="utf-8") if path.is_file() else "")


def _classes(module: str) -> list[ast.ClassDef]:
    return [node for node in _tree(module).body if isinstance(node, ast.ClassDef)]


def _strings(module: str, node: ast.ClassDef, name: str) -> list[str]:
    """The strings in a class attribute, as the class or the nearest of its bases sets it."""
    _, value = _value(module, node, name)
    parts = (part.value for part in ast.walk(value) if isinstance(part, ast.Constant))
    return [part for part in parts if isinstance(part, str)]


def _modality(module: str, node: ast.ClassDef) -> frozenset[str]:
    """The modality that a class states, or, for a flaw, that of the data sets it needs."""
    owner, needs = _value(module, node, "needs")
    named = [part.id for part in ast.walk(needs) if isinstance(part, ast.Name)]
    needed = filter(None, (_definition(owner, name) for name in named))
    classes = [(module, node), *needed]
    return frozenset(word for owner, one in classes for word in _strings(owner, one, "modality"))


def _value(module: str, node: ast.ClassDef, name: str) -> tuple[str, ast.expr]:
    """What a class, or the nearest of its bases, sets an attribute to, and in which module."""
    for line in node.body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return module, line.value
    for owner, parent in _bases(module, node):
        found = _value(owner, parent, name)
        if not _is_unset(found[1]):
            return found
    return module, ast.Constant(None)


def _is_unset(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _bases(module: str, node: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef]]:
    """The base classes that are written down somewhere, each with its module."""
    for written in node.bases:
        base = written.value if isinstance(written, ast.Subscript) else written
        if isinstance(base, ast.Name) and (found := _definition(module, base.id)):
            yield found


def _definition(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Where is the class of this name defined, as this module knows it?"""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _definition(node.module, alias.name)
    return None
