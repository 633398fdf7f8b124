"""Title, help and question of a plug-in, read from its source file without importing it.

The app and the command line take every name that they show from here, so that each plug-in has
one title, and lists need no torch.

An attribute that a class does not set is looked for in its bases, wherever they are defined.
A plug-in without a source file that can be read is imported and asked.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditgame.registry import find, load, names
from auditgame.registry.discovery import Kind, PluginSource, source_file
from auditgame.schema.errors import AuditgameError

if TYPE_CHECKING:
    from auditgame.registry import Plugin

BOTH = frozenset({"image", "text"})


class PluginText(NamedTuple):
    """What the class of a plug-in states of itself. text: its docstring."""

    name: str
    title: str
    text: str = ""
    modality: frozenset[str] = BOTH
    asks: str = ""


def plugin_text(kind: Kind, name: str) -> PluginText:
    """The description of one plug-in; where there is none to read, the text says why."""
    try:
        return _described(kind, name)
    except AuditgameError as error:
        return PluginText(name, _tidy(name), str(error))


def title(kind: Kind, name: str) -> str:
    """What a plug-in is called wherever people read of it."""
    return plugin_text(kind, name).title


def plugin_texts(kind: Kind) -> list[PluginText]:
    """The descriptions of all plug-ins of a kind."""
    return [plugin_text(kind, name) for name in names(kind)]


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, each on one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


class _Class(NamedTuple):
    """A class statement, with the module and the file that hold it."""

    node: ast.ClassDef
    module: str
    file: Path

    def value(self, attribute: str) -> tuple[_Class, ast.expr] | None:
        """The value of a class attribute, and the class that sets it: this one, or a base."""
        for line in self.node.body:
            value = _assigned(line).get(attribute)
            if value is not None:
                return self, value
        return next((found for base in self.bases() if (found := base.value(attribute))), None)

    def strings(self, attribute: str) -> list[str]:
        """The strings in the value of a class attribute."""
        found = self.value(attribute)
        parts = ast.walk(found[1]) if found else ()
        constants = (part.value for part in parts if isinstance(part, ast.Constant))
        return [value for value in constants if isinstance(value, str)]

    def modality(self) -> frozenset[str]:
        """The modality that a class states; for a flaw, that of the data sets it needs."""
        stated = frozenset(self.strings("modality"))
        found = self.value("needs")
        if stated or not found:
            return stated
        owner, needs = found
        named = (part.id for part in ast.walk(needs) if isinstance(part, ast.Name))
        needed = (_class(owner.module, owner.file, name) for name in named)
        return frozenset().union(*(one.modality() for one in needed if one))

    def bases(self) -> Iterator[_Class]:
        """The base classes whose source can be read."""
        for base in self.node.bases:
            name = base.value if isinstance(base, ast.Subscript) else base
            found = _class(self.module, self.file, name.id) if isinstance(name, ast.Name) else None
            if found:
                yield found


@functools.cache
def _described(kind: Kind, name: str) -> PluginText:
    found = _definition(find(kind, name))
    if found is None:
        return _asked(name, load(kind, name))
    title, asks = ("".join(found.strings(key)) for key in ("title", "asks"))
    modality = found.modality() or BOTH
    text = inspect.cleandoc(ast.get_docstring(found.node) or "")
    return PluginText(name, title or _tidy(name), text, modality, asks)


def _asked(name: str, plugin: type[Plugin]) -> PluginText:
    title, asks = (str(getattr(plugin, key, "")) for key in ("title", "asks"))
    classes = [plugin, *getattr(plugin, "needs", ())]
    stated = (getattr(one, "modality", ()) for one in classes)
    sets = (frozenset({one}) if isinstance(one, str) else frozenset(one) for one in stated)
    modality = frozenset[str]().union(*sets) or BOTH
    return PluginText(name, title or _tidy(name), inspect.getdoc(plugin) or "", modality, asks)


def _definition(source: PluginSource) -> _Class | None:
    """The class statement of a plug-in; None where no source file shows it."""
    file = source.file
    if file is None:
        return None
    if source.attribute:
        return _class(source.module, file, source.attribute)
    classes = (node for node in _statements(file) if isinstance(node, ast.ClassDef))
    found = (_Class(node, source.module, file) for node in classes)
    return next((one for one in found if one.strings("name") == [source.name]), None)


def _class(module: str, file: Path, name: str) -> _Class | None:
    """The class that a name means in a module: defined there, or imported from another one."""
    for node in _statements(file):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _Class(node, module, file)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _imported(node, alias.name, module, file)
    return None


def _imported(node: ast.ImportFrom, name: str, module: str, file: Path) -> _Class | None:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    there = resolve_name("." * node.level + (node.module or ""), package)
    source = source_file(there)
    return None if source is None else _class(there, source, name)


@functools.cache
def _statements(file: Path) -> tuple[ast.stmt, ...]:
    """The top level of a source file; empty where it cannot be read."""
    try:
        return tuple(ast.parse(file.read_bytes()).body)
    except (OSError, SyntaxError, ValueError):
        return ()


def _assigned(line: ast.stmt) -> dict[str, ast.expr]:
    """The names that a statement sets, with the value."""
    match line:
        case ast.Assign(targets=targets, value=value):
            return {target.id: value for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return {name: value}
    return {}


def _tidy(name: str) -> str:
    return name.replace("_", " ").capitalize()
