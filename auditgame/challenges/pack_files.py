"""Files of pack plans: YAML in, a checked plan with its recipes out, errors with the line."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

from auditgame.challenges.pack import CaseGroup, PackPlan
from auditgame.challenges.pack_groups import FindRecipe, fixed_recipes, resolve
from auditgame.challenges.yaml_files import FieldFault, at_line, parse_yaml
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import complaint


class ReadyPlan(NamedTuple):
    """A plan that can be drawn, with its recipes as they are built."""

    plan: PackPlan
    groups: tuple[CaseGroup, ...]
    fixed: tuple[Recipe, ...]


def read_plan(text: str, find: FindRecipe) -> ReadyPlan:
    """The plan in this YAML, or an AuditgameError that names field and line."""
    node, data = parse_yaml(text, "plan")
    try:
        plan = PackPlan.model_validate(data)
        return ReadyPlan(plan, resolve(plan, find), fixed_recipes(plan, find))
    except ValidationError as error:
        raise at_line(FieldFault(*complaint(error)), node, "plan") from None
    except FieldFault as fault:
        raise at_line(fault, node, "plan") from None
