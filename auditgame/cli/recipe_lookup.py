"""Find a recipe by path or name, and check that it can be built."""

from __future__ import annotations

from pathlib import Path

from auditgame.challenges.recipe_files import read_recipe, recipe_paths
from auditgame.cli.io import read_text
from auditgame.registry import load, suggest
from auditgame.schema.errors import AuditgameError, Invalid, NotFound
from auditgame.schema.recipe import Recipe


def find_recipe(name: str) -> Path:
    """The file of this path, or of this name among the recipes, the user's own first."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists() or len(path.parts) > 1:
        return path
    known = recipe_paths()
    if name not in known:
        raise suggest("recipe", name, known, NotFound)
    return known[name]


def read_recipe_file(path: Path) -> Recipe:
    """The recipe in a YAML file; AuditgameError names file, line and field."""
    text = read_text(path, "recipe")
    try:
        return read_recipe(text)
    except AuditgameError as error:
        message = str(error).removeprefix("recipe: ")
        raise Invalid(f"{path}: {message}") from None
    except RecursionError:
        raise Invalid(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise Invalid(f"{path}: {error}") from None


def require_buildable(recipe: Recipe) -> None:
    """AuditgameError unless every family of the recipe fits the data and accepts its params."""
    from auditgame.flaws import parse_params, require_fit

    dataset = load("dataset", recipe.dataset)()
    load("model", recipe.model).build(dataset, None)
    for name in recipe.families:
        family = load("flaw", name)
        require_fit(family, dataset)
        parse_params(family, recipe.params.get(name, {}), recipe.name)
    unknown = recipe.params.keys() - recipe.families.keys()
    if unknown:
        raise suggest(f"{recipe.name}: family under params:", min(unknown), recipe.families)
    for name in recipe.offers:
        load("flaw", name)
