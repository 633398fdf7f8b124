"""The pages of the Python interface: one for each entry of the package, from its docstrings.

Plug-ins have pages of their own (website/plugins.py), and the command line and the app are
programs, not interfaces, so none of them is listed here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import auditgame
from auditgame.registry import FOLDERS

PROGRAMS = {"__main__", "cli", "ui"}
SECTION = """```{{eval-rst}}
.. automodule:: {module}
   :members:
   :ignore-module-all:
```
"""
LEFT_OUT = ("auditgame.ledger.migrations", "auditgame.plugins.templates")
"""Database migrations, and examples that are meant to be read as source."""


def pages() -> dict[str, str]:
    """The Markdown of each entry's page, under the entry's name; bottom-up is architecture's."""
    entries = [found.name for found in pkgutil.iter_modules(auditgame.__path__)]
    return {name: _page(name) for name in entries if name not in PROGRAMS}


def _page(entry: str) -> str:
    sections = [f"# auditgame.{entry}\n"]
    for module in modules(f"auditgame.{entry}"):
        if module != f"auditgame.{entry}":
            sections.append(f"## {module}\n")
        sections.append(SECTION.format(module=module))
    return "\n".join(sections)


def modules(name: str) -> Iterator[str]:
    """A module, then what lies in it if it is a package; plug-ins are passed over."""
    yield name
    folder = name.removeprefix("auditgame.")
    for found in pkgutil.iter_modules(getattr(importlib.import_module(name), "__path__", [])):
        inner = f"{name}.{found.name}"
        plugin = folder in FOLDERS.values() and not found.ispkg
        if not plugin and not inner.startswith(LEFT_OUT):
            yield from modules(inner)
