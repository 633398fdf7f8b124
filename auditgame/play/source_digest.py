"""A digest of the source code that an answer rests on: modules and all that they import."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_STARTED = time.time()
_PROCESS = os.urandom(16)


@functools.cache
def source_digest(*modules: str) -> str:
    """SHA-256 (hex) over the source of these imported modules and of what they import.

    Followed, transitively, are imports from auditgame and from the modules' own packages;
    nothing is executed. Computed once per process: a process keeps the code it has loaded. A
    file that changed since this process started may not be what it has loaded; then the digest
    holds for this process alone.
    """
    found = hashlib.sha256()
    for name, path in sorted(_closure(modules).items()):
        found.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
        if path.stat().st_mtime > _STARTED:
            found.update(_PROCESS)
    return found.hexdigest()


def _closure(modules: tuple[str, ...]) -> dict[str, Path]:
    """The file of each module that is reached."""
    packages = {"auditgame", *(name.partition(".")[0] for name in modules)}
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting += [each for each in _imports(name, path) if each.partition(".")[0] in packages]
    return found


def _path(module: str) -> Path | None:
    """Where the source lies of a module of an imported package; None where there is none.

    The first file of auditgame says little but the version, and is left out: a release that
    leaves a tool alone leaves its answers alone.
    """
    top, *parts = module.split(".")
    origin = getattr(sys.modules.get(top), "__file__", None)
    if origin is None or module == "auditgame":
        return None
    if Path(origin).name != "__init__.py":
        return Path(origin) if not parts and origin.endswith(".py") else None
    place = Path(origin).parent.joinpath(*parts)
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@functools.cache
def _imports(module: str, path: Path) -> tuple[str, ...]:
    return tuple(_named(module, path))


def _named(module: str, path: Path) -> Iterator[str]:
    """Every module that an import statement may mean: `from a import b` means `a`, and `a.b`."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # Being edited: this process has loaded what it was before.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
