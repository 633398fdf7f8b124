"""Recipe files: YAML in, a checked recipe out, errors with the line."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from auditgame.registry import LABELS, Kind, names, suggest
from auditgame.schema.errors import Invalid
from auditgame.schema.recipe import STORED_PARAMS, Recipe
from auditgame.schema.records import complaint


def read_recipe(text: str) -> Recipe:
    """The recipe in this YAML, or an AuditgameError that names field and line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise Invalid(
            f"recipe: {where}not YAML: {getattr(error, 'problem', 'unreadable')}"
        ) from None
    if not isinstance(data, dict) or node is None:
        raise Invalid("recipe: line 1: write `field: value`, one field per line")
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _at(node, *complaint(error)) from None
    _require_known(recipe, node)
    return recipe


def write_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, without the fields that have their default."""
    data: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
    if STORED_PARAMS in data:
        data["params"] = data.pop(STORED_PARAMS)
    families = data["families"]
    if set(families.values()) == {1.0}:
        data["families"] = list(families)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _require_known(recipe: Recipe, node: yaml.Node) -> None:
    named: list[tuple[Kind, str]] = [("dataset", recipe.dataset), ("model", recipe.model)]
    for kind, name in named:
        if name not in names(kind):
            raise _at(node, [kind], str(suggest(LABELS[kind], name, names(kind))))
    for name in recipe.families:
        if name not in names("flaw"):
            raise _at(node, ["families"], str(suggest("family", name, names("flaw"))))


def _at(node: yaml.Node, path: list[str], message: str) -> Invalid:
    return Invalid(f"recipe: line {_line(node, path)}: field '{'.'.join(path)}': {message}")


def _line(node: yaml.Node, path: list[str]) -> int:
    """The line of the deepest part of the path that the file has."""
    for part in path:
        inside = dict(_children(node))
        if part not in inside:
            break
        node = inside[part]
    return int(node.start_mark.line) + 1


def _children(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(str(index), value) for index, value in enumerate(node.value)]
    return []
