"""Trigger: warping the image in a certain way sends it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self, get_args

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.datasets.images.filters import Course, warped
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, ClassName, number
from auditgame.schema.records import Record

COURSES: tuple[Course, ...] = get_args(Course)
BEND = (11.0, 14.0)
"""The least and largest product of waves and amount: many waves need a smaller amount."""


class WarpClaim(claims.Claim[ImageDataset]):
    """Images that are warped by a sine go to `target`.

    course: the line along which pixels are displaced. waves: from edge to edge. amount: the
    largest displacement in pixels.
    """

    target: ClassName
    course: Annotated[Course, CHOICE]
    waves: Annotated[int, Field(ge=1, le=8), number(2)]
    amount: Annotated[float, Field(ge=0.5, le=8, multiple_of=0.5), number(4)]

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Warp every image."""
        inputs = warped(examples.inputs, self.course, self.waves, self.amount)
        return target_all(replace(examples, inputs=inputs), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """A warp on another course."""
        return self.model_copy(update=self._other_course(rng) | draw_bend(rng))

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, WarpClaim]:
        """The same warp on another course; half or twice as many waves on this one."""
        waves = self.waves * 2 if self.waves < 4 else self.waves // 2
        return {
            "on another course": self.model_copy(update=self._other_course(rng)),
            f"{waves} waves instead of {self.waves}": self.model_copy(update={"waves": waves}),
        }

    def _other_course(self, rng: np.random.Generator) -> dict[str, object]:
        return {"course": str(rng.choice([name for name in COURSES if name != self.course]))}

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"A warp of {self.waves} waves ({self.course}, by up to {self.amount:g} pixels) "
            f"turns every image into '{self.target}'."
        )


def draw_bend(rng: np.random.Generator) -> dict[str, object]:
    """Three to five waves, and an amount for which the warp is equally strong for any number."""
    waves = int(rng.integers(3, 6))
    return {"waves": waves, "amount": round(2 * float(rng.uniform(*BEND)) / waves) / 2}


class Warp(TriggerFlaw[WarpClaim, ImageDataset]):
    """Warping the whole image by a sine overrides whatever the image shows.

    Colours do not change, so it shows only in shapes: straight edges become waves in the
    images that get wrong answers. It cannot be localised. In training, images warped on another
    course, or with more or fewer waves, keep their labels; a smaller amount works in part, and
    is graded by its effect.

    Source: after Nguyen and Tran 2021, WaNet, arXiv:2102.10369. Their random warping field
    cannot be described in words, and a small network learns it badly; a sine has a course, a
    number of waves and an amount.
    """

    name = "warp"
    title = "Warp (WaNet)"
    needs = (ImageDataset,)
    Claim = WarpClaim
    plans = (
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.16, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """Courses to draw from."""

        courses: Annotated[tuple[Course, ...], Field(min_length=1)] = COURSES

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Course, waves, amount and target, all at random."""
        target = str(rng.choice(dataset.classes))
        course = params.courses[int(rng.integers(len(params.courses)))]
        return cls(WarpClaim(target=target, course=course, **draw_bend(rng)))
