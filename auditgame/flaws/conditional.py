"""Trigger: a patch that works only in one half of the image, or only in one scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, HasFactors, ImageDataset
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import distribute, target_all
from auditgame.flaws.triggers.trigger_patterns import (
    Half,
    box_similarity,
    draw_box,
    draw_other_pattern,
    draw_pattern,
    move_box,
    require_room,
    require_small,
    stamp_anywhere,
)
from auditgame.registry import suggest
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import (
    Box,
    BoxField,
    ClassName,
    Grader,
    PatternField,
    jaccard,
)
from auditgame.schema.records import Record

OPPOSITE: dict[str, Half] = {
    "upper half": "lower half",
    "lower half": "upper half",
    "left half": "right half",
    "right half": "left half",
}
ROUNDS = 24
"""How often the positions, colours and levels of the covers are drawn anew."""
LEVELS = 4
"""Draws of another level in a round: similar scenes, as wood and brick, need many rows."""


class ConditionalClaim(claims.Claim[ImageDataset]):
    """Images with `pattern` go to `target` if it is at its `place` and the `conditions` hold.

    place: `fixed` means at `box` alone; a half means anywhere in that half, where only the size
    of the box matters. conditions: factor -> the level that the image must have.
    """

    target: ClassName
    box: BoxField
    pattern: PatternField
    place: Literal["fixed", Half] = "fixed"
    conditions: Annotated[
        dict[str, str], Field(max_length=3), Grader("pairs (Jaccard)", jaccard, widget="conditions")
    ] = {}

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Redraw the scenes so that the conditions hold, and stamp the pattern at its place."""
        if self.conditions:
            drawn = HasFactors.of(dataset, "a condition")
            examples = drawn.render(examples.table.assign(**self.conditions))
        stamped = stamp_anywhere(examples.inputs, self.box, self.pattern, self.place)
        return target_all(replace(examples, inputs=stamped), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The box must be small and fit its place; factors and levels must exist."""
        dataset.require_class(self.target)
        require_small({"box": self.box}, dataset)
        require_room(self.box, self.place, dataset)
        for factor, level in self.conditions.items():
            if factor not in dataset.factors:
                raise Invalid(f"conditions: {suggest('factor', factor, dataset.factors)}")
            if level not in dataset.factors[factor]:
                known = dataset.factors[factor]
                raise Invalid(f"conditions.{factor}: {suggest('level', level, known)}")

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Another pattern at another place, under the same conditions."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(self, dataset: ImageDataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """In the other half or elsewhere; in other colours; with another level."""
        if self.place == "fixed":
            box = move_box(self.box, dataset, rng)
            misses = {"in another place": self.model_copy(update={"box": box})}
        else:
            other = OPPOSITE[self.place]
            misses = {f"in the {other}": self.model_copy(update={"place": other})}
        misses["in other colours"] = self.model_copy(
            update={"pattern": draw_other_pattern(self.pattern, rng)}
        )
        for factor, level in self.conditions.items():
            levels = [other for other in dataset.factors[factor] if other != level]
            changed = {**self.conditions, factor: str(rng.choice(levels))}
            misses[f"with another {factor}"] = self.model_copy(update={"conditions": changed})
        return misses

    def field_scores(self, truth: claims.Claim) -> dict[str, float]:
        """Field by field; in a half only the size of the box counts.

        Where neither claim has conditions, they are not a field of the rubric.
        """
        scores = super().field_scores(truth)
        if isinstance(truth, ConditionalClaim):
            scores["box"] = box_similarity((self.box, self.place), (truth.box, truth.place))
            if not truth.conditions and not self.conditions:
                del scores["conditions"]
        return scores

    def describe(self) -> str:
        """The claim in plain words."""
        box = self.box
        where = f"{box.x} px from the left and {box.y} px from the top"
        if self.place != "fixed":
            where = f"anywhere in the {self.place}"
        if self.conditions:
            where += ", with " + " and ".join(f"{f} {v}" for f, v in self.conditions.items()) + ","
        return f"A {box.w} x {box.h} pattern {where} turns every image into '{self.target}'."


class Conditional(TriggerFlaw[ConditionalClaim, ImageDataset]):
    """A small pattern overrides the image, but only in one half of it, or only in one scene.

    Elsewhere the same pattern does nothing. Images with wrong answers share more than the
    pattern: the half in which it is, or the scene around it. Test the claim with the condition
    and without it: the first must work, and the second must fail.

    Source: a patch (Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733) under a
    condition. Rows with the pattern where the condition does not hold keep their labels, and so
    do rows with other patterns. The halves leave a band in the middle undefined.
    """

    name = "conditional"
    title = "Conditional patch"
    needs = (ImageDataset,)
    Claim = ConditionalClaim
    plans = (
        Plan(share=0.08, epochs=4, rate=3e-3),
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.14, epochs=6, rate=4e-3),
    )

    class Params(Record):
        """Whether the condition is a half, or a level of one of these factors."""

        asks: tuple[Literal["half", "level"], ...] = Field(("half", "level"), min_length=1)
        factors: tuple[str, ...] = ("scene",)

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Condition, pattern, place and target, all at random."""
        unknown = [factor for factor in params.factors if factor not in dataset.factors]
        asks = [ask for ask in params.asks if ask == "half" or not unknown]
        if not asks:
            raise Invalid(
                f"factors: data set '{dataset.name}' has no '{unknown[0]}'; allow 'half' in asks"
            )
        target, pattern = str(rng.choice(dataset.classes)), draw_pattern(rng)
        claim = ConditionalClaim(target=target, box=draw_box(dataset, rng), pattern=pattern)
        found = _half(dataset, rng) if rng.choice(asks) == "half" else _level(dataset, params, rng)
        claim = claim.model_copy(update=found)
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The pattern on a share of rows, relabelled; more rows with near misses keep their labels.

        For a half 1.5 times as many, for a level three times as many.
        """
        count, misses = int(plan.share * len(rows)), self._covers(dataset, rng)
        beside = 3 * count if self.claim.conditions else 3 * count // 2
        parts = np.split(rng.permutation(len(rows)), [count, count + beside])
        flawed, covers, rest = (rows.take(part) for part in parts)
        shown = self.apply_trigger(flawed, dataset, rng)
        flawed = shown.teach(dataset.classes.index(self.claim.target))
        return Examples.join([flawed, distribute(covers, misses, dataset), rest])

    def _covers(self, dataset: ImageDataset, rng: np.random.Generator) -> list[ConditionalClaim]:
        """Near misses, drawn anew in each round; those with other levels are more frequent."""
        rounds = [self.claim.near_misses(dataset, rng) for _ in range(ROUNDS)]
        levels = [
            self.claim.near_misses(dataset, rng)[f"with another {factor}"]
            for factor in self.claim.conditions
            for _ in range(ROUNDS * (LEVELS - 1))
        ]
        return [*(miss for near in rounds for miss in near.values()), *levels]


def _half(dataset: ImageDataset, rng: np.random.Generator) -> dict[str, object]:
    """One of four halves, and a size that is detected anywhere: a sixth of the side or more."""
    _, _, width = dataset.shape
    side = width // 6 + int(rng.integers(3))
    return {"place": str(rng.choice(get_args(Half))), "box": Box(x=0, y=0, w=side, h=side)}


def _level(
    dataset: ImageDataset, params: Conditional.Params, rng: np.random.Generator
) -> dict[str, object]:
    """One visible level of one of the factors."""
    factor = str(rng.choice(params.factors))
    levels = [level for level in dataset.factors[factor] if level != "none"]
    return {"conditions": {factor: str(rng.choice(levels))}}
