"""Recipe files: YAML in, a checked recipe out, errors with the line; recipes by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from auditgame import paths
from auditgame.challenges.yaml_files import FieldFault, at_line, parse_yaml
from auditgame.registry import LABELS, Kind, names, suggest
from auditgame.schema.errors import AuditgameError, Invalid, NotFound
from auditgame.schema.recipe import STORED_PARAMS, Recipe
from auditgame.schema.records import complaint


def read_recipe(text: str) -> Recipe:
    """The recipe in this YAML, or an AuditgameError that names field and line."""
    node, data = parse_yaml(text, "recipe")
    try:
        recipe = Recipe.model_validate(data)
        _require_known(recipe)
    except ValidationError as error:
        raise at_line(FieldFault(*complaint(error)), node, "recipe") from None
    except FieldFault as fault:
        raise at_line(fault, node, "recipe") from None
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


def recipe_paths() -> dict[str, Path]:
    """The file of every recipe that has a name here; of two, the user's own."""
    return {file.stem: file for folder in paths.recipes() for file in folder.glob("*.yaml")}


def named_recipe(name: str) -> Recipe:
    """The recipe of this name; AuditgameError where there is none, or where its file is wrong."""
    known = recipe_paths()
    if name not in known:
        raise suggest("recipe", name, known, NotFound)
    try:
        return read_recipe(known[name].read_text(encoding="utf-8"))
    except AuditgameError as error:
        raise Invalid(f"{known[name]}: {str(error).removeprefix('recipe: ')}") from None


def _require_known(recipe: Recipe) -> None:
    named: list[tuple[Kind, str]] = [("dataset", recipe.dataset), ("model", recipe.model)]
    for kind, name in named:
        if name not in names(kind):
            raise FieldFault([kind], str(suggest(LABELS[kind], name, names(kind))))
    for name in recipe.families:
        if name not in names("flaw"):
            raise FieldFault(["families"], str(suggest("family", name, names("flaw"))))
