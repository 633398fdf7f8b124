"""Writes a new plug-in or recipe: a small example that works, under a name of its own."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from pathlib import Path

from auditgame import paths
from auditgame.registry import FOLDERS, LABELS, Kind, names, suggest
from auditgame.schema.errors import Conflict, Invalid

TEMPLATES = Path(__file__).parent / "templates"
EXAMPLES: dict[Kind, tuple[str, str]] = {
    "flaw": ("frame", "Frame"),
    "tool": ("class_means", "ClassMeans"),
    "dataset": ("bars", "Bars"),
    "model": ("two_conv", "TwoConv"),
    "auditor": ("one_way", "OneWay"),
}
"""Name and class of each template."""
RECIPE = """\
name: {name}
title: {title}
dataset: storybook        # 'auditgame doctor' lists data sets, models and families
model: small_cnn
families: {{patch: 1, shortcut: 1, clean: 1}}   # one is drawn, with these weights
tier: easy                # tutorial, easy, medium or hard
mode: practice            # ranked: one attempt, the key opens after it
params: {{shortcut: {{factors: [scene]}}}}         # limits what a family draws
pool: {{size: 120, planted: 0.06}}              # players' examples; share with the trigger
budget: 400000            # queries: examples sent through the model
"""


def write(kind: str, name: str, out: Path | None = None) -> Path:
    """Write a new file of this kind and name into `out`, or where the game finds it.

    That is the package in a checkout; the user's own folder of recipes or plug-ins otherwise.

    Raises AuditgameError for an unknown kind, a bad name, and a name that is taken.
    """
    if kind == "recipe":
        return _write(_recipe(name), f"{name}.yaml", out or paths.recipes()[-1])
    for known in EXAMPLES:
        if kind == known:
            return _write(_plugin(known, name), f"{name}.py", out or plugin_folder(known))
    raise suggest("kind", kind, (*EXAMPLES, "recipe"))


def plugin_folder(kind: Kind) -> Path:
    """Where new plug-ins go: into the package in a checkout, else among the user's own."""
    in_checkout = paths.user_data() == paths.checkout()
    return (paths.PACKAGE if in_checkout else paths.plugins()) / FOLDERS[kind]


def _write(text: str, name: str, folder: Path) -> Path:
    path = folder / name
    if folder.exists() and not folder.is_dir():
        raise Invalid(f"--out '{folder}': is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"'{path}': exists already; choose another name") from None
    return path


def _recipe(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,47}", name):
        raise Invalid(f"name {name!r}: write lower-case letters, digits and dashes")
    return RECIPE.format(name=name, title=name.replace("-", " ").capitalize())


def _plugin(kind: Kind, name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name) or keyword.iskeyword(name):
        raise Invalid(
            f"name {name!r}: write lower-case letters, digits and underscores, a letter first"
        )
    if name in names(kind) or (paths.PACKAGE / FOLDERS[kind] / name).exists():
        raise Conflict(f"{LABELS[kind]} '{name}': exists already; choose another name")
    text = (TEMPLATES / f"{kind}.py").read_text(encoding="utf-8")
    old_name, old_class = EXAMPLES[kind]
    title = _class_name(kind, name, text)
    text = re.sub(rf"\b{old_class}(?=Claim\b|\b)", title, text)
    text = text.replace(f"`{old_name}`", f"`{name}`", 1)
    return text.replace(f'= "{old_name}"', f'= "{name}"', 1)


def _class_name(kind: str, name: str, text: str) -> str:
    """The name in capitals; its kind follows where the template uses that word already."""
    title = "".join(part.capitalize() for part in name.split("_"))
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    used |= {alias.name for node in ast.walk(ast.parse(text)) for alias in _aliases(node)}
    taken = title in used or keyword.iskeyword(title) or hasattr(builtins, title)
    return title + kind.capitalize() if taken else title


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
