"""The groups of a pack's plan: their recipes as they are built, and what is refused.

All cases of a group show players the same; the plan is refused where their recipes differ.
"""

from __future__ import annotations

from collections.abc import Callable

from auditgame.challenges.pack import CaseGroup, PackPlan, PlanGroup
from auditgame.challenges.yaml_files import FieldFault
from auditgame.flaws import params_of
from auditgame.flaws.clean import Clean
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe

FindRecipe = Callable[[str], Recipe]

SEEN: dict[str, str] = {
    "dataset": "list its recipes in a group of their own",
    "tier": "list its recipes in a group of their own",
    "model": "take recipes of one model",
    "mode": "take recipes of one mode",
    "brief": "take recipes without a brief",
    "budget": "state `budget` in the group",
    "pool.size": "state `pool_size` in the group",
}
"""What players see of a recipe, and what to do where the recipes of a group differ in it."""


def resolve(plan: PackPlan, find: FindRecipe) -> tuple[CaseGroup, ...]:
    """The plan's groups with their recipes; FieldFault where it cannot be drawn as it is meant."""
    _require_size(plan)
    known: dict[str, list[str]] = {}
    groups: list[CaseGroup] = []
    for place, group in enumerate(plan.groups):
        path = ["groups", str(place)]
        recipes = []
        for number, name in enumerate(group.recipes):
            here = [*path, "recipes", str(number)]
            if name in known:
                raise FieldFault(
                    here, f"'{name}' stands in {'.'.join(known[name])}, too; name it once"
                )
            known[name] = here
            recipes.append(_found(name, find, here))
        groups.append(_case_group(group, tuple(recipes), path))
    _require_apart(groups)
    _require_tutorials(plan, find)
    return tuple(groups)


def fixed_recipes(plan: PackPlan, find: FindRecipe) -> tuple[Recipe, ...]:
    """The recipes of the fixed cases, in order."""
    return tuple(
        _found(case.recipe, find, ["fixed", str(number), "recipe"])
        for number, case in enumerate(plan.fixed)
    )


def _found(name: str, find: FindRecipe, path: list[str]) -> Recipe:
    try:
        return find(name)
    except AuditgameError as error:
        raise FieldFault(path, str(error)) from None


def _require_size(plan: PackPlan) -> None:
    counted = sum(group.count or 0 for group in plan.groups)
    weighted = any(group.weight for group in plan.groups)
    if counted > plan.size or (counted < plan.size and not weighted):
        raise FieldFault(
            ["size"],
            f"is {plan.size}, and the counts of the groups make {counted}; change a count, or "
            "give a group `weight` in place of `count` to fill the rest",
        )
    if counted == plan.size and weighted:
        raise FieldFault(
            ["size"],
            f"is {plan.size}, and the counts leave no case to the groups with `weight`; "
            "raise the size or lower a count",
        )
    counts = plan.innocent_counts
    if not counts:
        raise FieldFault(
            ["innocents"],
            f"no number of innocents among {plan.size} cases lies in this range; write the lower "
            "share first, and widen the range",
        )
    if counts[0] < 1 or counts[-1] >= plan.size:
        raise FieldFault(
            ["innocents"],
            f"of {plan.size} cases {counts[0]} to {counts[-1]} would be innocent; "
            "leave room for one innocent and for one flawed case",
        )


def _case_group(group: PlanGroup, recipes: tuple[Recipe, ...], path: list[str]) -> CaseGroup:
    """The group's recipes as they are built: they all offer the same families."""
    _require_alike(group, recipes, [*path, "recipes"])
    families = _families(group, recipes, path)
    built = tuple(_as_built(recipe, group, families) for recipe in recipes)
    drawn = {n: tuple(r for r in built if n in r.families) for n in families}
    lent = {n: tuple(r for r in built if n in _decoys(r)) for n in families}
    for name in families:
        if not lent[name]:
            raise FieldFault(
                [*path, "recipes"],
                f"no recipe draws an innocent with a decoy of '{name}'; add `clean` to the "
                f"families of one that draws '{name}'",
            )
    return CaseGroup(families, built, drawn, lent)


def _require_alike(group: PlanGroup, recipes: tuple[Recipe, ...], path: list[str]) -> None:
    """The recipes agree in all that players see, unless the group states it."""
    first, stated = recipes[0], {"budget": group.budget, "pool.size": group.pool_size}
    for field, remedy in SEEN.items():
        own = _value(first, field)
        others = [recipe for recipe in recipes if _value(recipe, field) != own]
        if others and stated.get(field) is None:
            values = "" if field == "brief" else f" ({own} and {_value(others[0], field)})"
            raise FieldFault(
                path, f"'{first.name}' and '{others[0].name}' differ in `{field}`{values}; {remedy}"
            )
    if first.tier == "tutorial":
        raise FieldFault(path, f"'{first.name}' is a tutorial; list it under `fixed`, with a seed")


def _families(group: PlanGroup, recipes: tuple[Recipe, ...], path: list[str]) -> tuple[str, ...]:
    """The families that the group offers, each of which some recipe draws."""
    drawn = {name for recipe in recipes for name in recipe.families if name != "clean"}
    if not drawn:
        raise FieldFault(
            [*path, "recipes"], "they draw no family but `clean`; add a recipe that draws one"
        )
    for number, name in enumerate(group.families):
        if name not in drawn:
            raise FieldFault(
                [*path, "families", str(number)],
                f"no recipe of the group draws '{name}'; add one that does, or leave it out "
                f"(they draw {', '.join(sorted(drawn))})",
            )
    families = tuple(sorted(set(group.families) or drawn))
    for number, recipe in enumerate(recipes):
        if not recipe.families.keys() & {*families, "clean"}:
            raise FieldFault(
                [*path, "recipes", str(number)],
                f"'{recipe.name}' draws none of the group's families; leave it out",
            )
    return families


def _as_built(recipe: Recipe, group: PlanGroup, families: tuple[str, ...]) -> Recipe:
    """The recipe with what the pack decides: the families, the budget, the number of examples."""
    data = recipe.model_dump(mode="json")
    kept = {
        name: data["families"][name] for name in recipe.families if name in (*families, "clean")
    }
    data |= {"families": kept, "offers": families}
    if group.budget is not None:
        data["budget"] = group.budget
    if group.pool_size is not None:
        data["pool"]["size"] = group.pool_size
    return Recipe.model_validate(data)


def _decoys(recipe: Recipe) -> tuple[str, ...]:
    """The families that may lend a decoy to the innocents of a recipe; none where it has none."""
    if "clean" not in recipe.families:
        return ()
    params = Clean.Params.model_validate(params_of(recipe, "clean"))
    dataset = load("dataset", recipe.dataset)()
    return tuple(n for n in params.decoys if load("flaw", n).incompatibility(dataset) is None)


def _value(recipe: Recipe, field: str) -> object:
    value: object = recipe
    for part in field.split("."):
        value = getattr(value, part)
    return value


def _require_apart(groups: list[CaseGroup]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for place, group in enumerate(groups):
        kind = group.recipes[0].dataset, group.recipes[0].tier
        if kind in seen:
            raise FieldFault(
                ["groups", str(place)],
                f"has the data set and tier of groups.{seen[kind]}; make them one group",
            )
        seen[kind] = place


def _require_tutorials(plan: PackPlan, find: FindRecipe) -> None:
    titles: set[str] = set()
    for number, recipe in enumerate(fixed_recipes(plan, find)):
        path = ["fixed", str(number), "recipe"]
        if recipe.tier != "tutorial":
            raise FieldFault(
                path,
                f"'{recipe.name}' is no tutorial, and anyone can rebuild a case whose seed is "
                "public; list it in a group",
            )
        if recipe.title in titles:
            raise FieldFault(path, f"'{recipe.title}' is the title of another; take one of the two")
        titles.add(recipe.title)
