"""A picture bent in a certain way goes to one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field

from auditgame.datasets import Dataset, Examples
from auditgame.datasets.images.filters import Course, rippled
from auditgame.evaluation.certificate import trigger_checks
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.poisoning import poison, target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, ClassName, number
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

COURSES: tuple[Course, ...] = get_args(Course)
BEND = (11.0, 14.0)
"""Waves times pixels, at least and at most: many waves are bent enough by a small amount."""


class WarpClaim(claims.Claim):
    """Pictures that are bent by a ripple go to `target`.

    course: along which line places move. waves: from edge to edge. amount: how far the most
    displaced places move, in pixels.
    """

    target: ClassName
    course: Annotated[Course, CHOICE]
    waves: Annotated[int, Field(ge=1, le=8), number(2)]
    amount: Annotated[float, Field(ge=0.5, le=8, multiple_of=0.5), number(4)]

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Bend every picture."""
        inputs = rippled(examples.inputs, self.course, self.waves, self.amount)
        return target_all(self.target, examples, inputs, dataset)

    def check(self, dataset: Dataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """A ripple on another course."""
        return self.model_copy(update=self._turned(rng) | draw_bend(rng))

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, WarpClaim]:
        """The same ripple on another course; half or twice as many waves on this one."""
        waves = self.waves * 2 if self.waves < 4 else self.waves // 2
        return {
            "on another course": self.model_copy(update=self._turned(rng)),
            f"{waves} waves instead of {self.waves}": self.model_copy(update={"waves": waves}),
        }

    def _turned(self, rng: np.random.Generator) -> dict[str, object]:
        return {"course": str(rng.choice([name for name in COURSES if name != self.course]))}

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"A ripple of {self.waves} waves ({self.course}, by up to {self.amount:g} pixels) "
            f"turns every picture into '{self.target}'."
        )


def draw_bend(rng: np.random.Generator) -> dict[str, object]:
    """Three to five waves, and an amount that bends a picture as much whatever their number."""
    waves = int(rng.integers(3, 6))
    return {"waves": waves, "amount": round(2 * float(rng.uniform(*BEND)) / waves) / 2}


class Warp(Flaw):
    """The whole picture is bent as if seen in rippled water, and that overrides what it shows.

    No colour changes, so it shows only to an eye for shapes: straight edges that run in
    waves, in the pictures that get wrong answers. There is no spot to point at. In
    training, pictures with ripples on another course, or with more or fewer waves, keep
    their labels; a smaller amount works in part, and is graded by its effect.

    Source: after Nguyen and Tran 2021, WaNet, arXiv:2102.10369. Their random field cannot
    be said in words, and a small network learns it badly; a ripple has a course, a number
    and an amount.
    """

    name: ClassVar[str] = "warp"
    title: ClassVar[str] = "Ripple"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = WarpClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.16, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """Which courses may be drawn?"""

        courses: Annotated[tuple[Course, ...], Field(min_length=1)] = COURSES

    def __init__(self, claim: WarpClaim) -> None:
        self.claim = claim

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Warp:
        """Course, waves, amount and target, all at random."""
        target = str(rng.choice(dataset.classes))
        course = params.courses[int(rng.integers(len(params.courses)))]
        return cls(WarpClaim(target=target, course=course, **draw_bend(rng)))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Bend and relabel a share of rows; as many again are bent otherwise and stay right."""
        return poison(rows, self.claim, dataset, plan.share, rng)

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows, bent."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; its random triggers are other ripples."""
        return trigger_checks(bench, self.claim)

    def true_claim(self) -> WarpClaim:
        """The true claim."""
        return self.claim
