"""Packs: the plan that an author writes, and the cases that one secret seed draws from it.

Everything that players see of a case is the same for all cases of its data set and tier, and
every family that they may name is equally likely there: for flawed models as the family of the
flaw, for innocents as that of the decoy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from auditgame.flaws import draw_flaw
from auditgame.flaws.clean import Clean
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Record
from auditgame.seeds import Seed

INNOCENTS = (0.4, 0.6)
"""The public range from which a pack's share of innocents is drawn, unless its plan says more."""

NAME = r"^[a-z0-9][a-z0-9-]{0,47}$"
RecipeName = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(gt=0, lt=1)]


class PlanGroup(Record):
    """Cases of one data set and tier, which look alike to players."""

    recipes: Annotated[
        tuple[RecipeName, ...],
        Field(min_length=1, description="Recipes of one data set and tier, by their names."),
    ]
    count: Annotated[int | None, Field(ge=1, description="How many cases. Or state `weight`.")] = (
        None
    )
    weight: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="The chance, beside the other weights, that a case not counted elsewhere "
            "is of this group.",
        ),
    ] = None
    families: Annotated[
        tuple[str, ...],
        Field(description="Those that are drawn and offered. Empty: all that the recipes draw."),
    ] = ()
    budget: Annotated[
        int | None,
        Field(
            ge=0, le=10_000_000, description="The budget of every case. By default the recipes'."
        ),
    ] = None
    pool_size: Annotated[
        int | None,
        Field(ge=20, le=400, description="How many examples players get. By default the recipes'."),
    ] = None

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if (self.count is None) == (self.weight is None):
            raise ValueError("state `count` or `weight`, one of the two")
        return self


class FixedCase(Record):
    """A tutorial with a public seed, beside the cases that are drawn."""

    recipe: Annotated[RecipeName, Field(description="A recipe of the tier `tutorial`.")]
    seed: Annotated[int, Field(ge=0, description="The number of its public seed.")]


class PackPlan(Record):
    """A pack's public plan: what may be drawn, never what was."""

    name: Annotated[str, Field(pattern=NAME, description="The pack's own name.")]
    size: Annotated[int, Field(ge=2, le=1000, description="How many cases are drawn.")]
    innocents: Annotated[
        tuple[Share, Share],
        Field(description="The range from which the share of innocents is drawn, in secret."),
    ] = INNOCENTS
    groups: Annotated[
        tuple[PlanGroup, ...],
        Field(min_length=1, description="What is drawn, one entry for each data set and tier."),
    ]
    fixed: Annotated[
        tuple[FixedCase, ...], Field(description="Tutorials that are built besides.")
    ] = ()

    @property
    def innocent_counts(self) -> range:
        """The numbers of innocents that may be drawn."""
        low, high = self.innocents
        return range(math.ceil(low * self.size - 1e-9), math.floor(high * self.size + 1e-9) + 1)


class CaseGroup(NamedTuple):
    """A group of a plan with its recipes as they are built.

    flawed, innocent: by family, the recipes that draw it as a flaw and as a decoy.
    """

    families: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    flawed: dict[str, tuple[Recipe, ...]]
    innocent: dict[str, tuple[Recipe, ...]]


class DrawnCase(NamedTuple):
    """One case of a pack: its recipe, and the family of its flaw or of its decoy. Secret."""

    recipe: Recipe
    family: str
    flawed: bool
    seed: Seed

    def sub_seed(self, number: int) -> Seed:
        """The sub-seed of this number."""
        return self.seed.child(f"draw {number}")

    def seeds(self) -> Iterator[tuple[int, Seed]]:
        """The numbered sub-seeds that draw this family, in order."""
        for number in count():
            seed = self.sub_seed(number)
            flaw = draw_flaw(self.recipe, seed)
            shown = flaw.decoy if isinstance(flaw, Clean) else flaw
            if isinstance(flaw, Clean) != self.flawed and shown and shown.name == self.family:
                yield number, seed


def draw_pack(plan: PackPlan, groups: tuple[CaseGroup, ...], seed: Seed) -> tuple[DrawnCase, ...]:
    """The cases of this plan that a secret seed draws.

    First how many are innocent, then which; whatever else is drawn does not depend on it.
    """
    rng = seed.child("plan").numpy()
    innocents = int(rng.choice(plan.innocent_counts))
    flawed = rng.permutation(plan.size) >= innocents
    cases = []
    for number, place in enumerate(_places(plan, rng)):
        group = groups[place]
        family = group.families[int(rng.integers(len(group.families)))]
        fitting = (group.flawed if flawed[number] else group.innocent)[family]
        recipe = fitting[int(rng.integers(len(fitting)))]
        cases.append(DrawnCase(recipe, family, bool(flawed[number]), seed.child(f"case {number}")))
    return tuple(cases)


def _places(plan: PackPlan, rng: np.random.Generator) -> list[int]:
    """The group of each case: as counted, the others by weight, in random order."""
    places = [place for place, group in enumerate(plan.groups) for _ in range(group.count or 0)]
    weights = np.array([group.weight or 0.0 for group in plan.groups])
    rest = plan.size - len(places)
    if rest:
        places += rng.choice(len(weights), size=rest, p=weights / weights.sum()).tolist()
    return [int(place) for place in rng.permutation(places)]
