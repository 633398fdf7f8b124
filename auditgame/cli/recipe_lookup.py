"""Which recipe is meant, and is it in order?"""

from __future__ import annotations

from pathlib import Path

from auditgame import paths
from auditgame.challenges.recipe_files import read_recipe
from auditgame.cli.io import read_text
from auditgame.registry import load, suggest
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe


def find_recipe(said: str) -> Path:
    """The file of this path, or of this name among the recipes, the user's own first."""
    path = Path(said)
    if path.suffix in (".yaml", ".yml") or path.exists() or len(path.parts) > 1:
        return path
    known = {file.stem: file for folder in paths.recipes() for file in folder.glob("*.yaml")}
    if said not in known:
        raise suggest("recipe", said, known)
    return known[said]


def read_recipe_file(path: Path) -> Recipe:
    """The recipe in a YAML file; AuditgameError names file, line and field."""
    text = read_text(path, "recipe")
    try:
        return read_recipe(text)
    except AuditgameError as error:
        words = str(error).removeprefix("recipe: ")
        raise AuditgameError(f"{path}: {words}") from None
    except RecursionError:
        raise AuditgameError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise AuditgameError(f"{path}: {error}") from None


def require_buildable(recipe: Recipe) -> None:
    """Every family, not only the one that will be drawn, must fit and know its params."""
    from auditgame.flaws import parse_params, require_fit

    dataset = load("dataset", recipe.dataset)()
    load("model", recipe.model).build(dataset, None)
    for name in recipe.families:
        family = load("flaw", name)
        require_fit(family, dataset)
        parse_params(family, recipe.params.get(name, {}), recipe.name)
    strangers = recipe.params.keys() - recipe.families.keys()
    if strangers:
        raise suggest(f"{recipe.name}: family under params:", min(strangers), recipe.families)
    for name in recipe.offers:
        load("flaw", name)
