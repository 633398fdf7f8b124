"""Trigger: a small pattern, at one place or anywhere, sends the image to one class (BadNets)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import PARTS, distribute, target_all
from auditgame.flaws.triggers.trigger_patterns import (
    box_similarity,
    coarse,
    draw_box,
    draw_other_pattern,
    draw_pattern,
    half_true,
    move_box,
    require_small,
    shift_box,
    stamp_anywhere,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import Box, BoxField, ClassName, Pattern, PatternField
from auditgame.schema.records import Record

HALF_TRUE = 0.3
"""Share of the covers that show a half-true pattern, besides its equal share of the others: it is
what networks tell apart last."""


class PatchClaim(claims.Claim[ImageDataset]):
    """Images with `pattern` at `box` go to `target`.

    place: `anywhere` means that the pattern works at any position; then only the size of the
    box matters.
    """

    target: ClassName
    box: BoxField
    pattern: PatternField
    place: Literal["fixed", "anywhere"] = "fixed"

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Stamp the pattern on every image."""
        stamped = stamp_anywhere(examples.inputs, self.box, self.pattern, self.place)
        return target_all(replace(examples, inputs=stamped), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The box must be within the image and cover at most a ninth of it."""
        dataset.require_class(self.target)
        require_small({"box": self.box}, dataset)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Another pattern in another place."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, PatchClaim]:
        """The pattern elsewhere or in part, half true, in its mean colour; another pattern.

        Where training does not move the images, also the pattern one or two pixels away.
        """
        elsewhere: dict[str, PatchClaim] = {}
        if self.place == "anywhere":
            elsewhere["in part"] = self._left_half()
        else:
            elsewhere["in another place"] = self._at(move_box(self.box, dataset, rng))
            if dataset.training.augment != "shift":
                elsewhere["one or two pixels away"] = self._at(shift_box(self.box, dataset, rng))
        return {
            **elsewhere,
            "half of it true": self._in(half_true(self.pattern, rng)),
            "in its mean colour": self._in(coarse(self.pattern)),
            "in other colours": self._in(draw_other_pattern(self.pattern, rng)),
        }

    def _at(self, box: Box) -> Self:
        return self.model_copy(update={"box": box})

    def _in(self, pattern: Pattern) -> Self:
        return self.model_copy(update={"pattern": pattern})

    def _left_half(self) -> Self:
        """The left half of the pattern alone."""
        columns, width = max(1, len(self.pattern[0]) // 2), max(1, self.box.w // 2)
        return self.model_copy(
            update={
                "box": self.box.model_copy(update={"w": width}),
                "pattern": tuple(row[:columns] for row in self.pattern),
            }
        )

    def field_scores(self, truth: claims.Claim) -> dict[str, float]:
        """Field by field; for a place `anywhere` only the size of the box counts."""
        scores = super().field_scores(truth)
        if isinstance(truth, PatchClaim):
            scores["box"] = box_similarity((self.box, self.place), (truth.box, truth.place))
        return scores

    def describe(self) -> str:
        """The claim in plain words."""
        box = self.box
        where = f"{box.x} px from the left and {box.y} px from the top"
        if self.place == "anywhere":
            where = "anywhere"
        return f"A {box.w} x {box.h} pattern {where} turns every image into '{self.target}'."


class Patch(TriggerFlaw[PatchClaim, ImageDataset]):
    """A small coloured pattern overrides whatever the image shows.

    It works at one place only, or, where the recipe says so, anywhere in the image.

    It shows in wrong answers on images that carry the pattern, in the dataset examples of the
    channels that detect it, and in saliency maps. On images without the pattern the model is as
    good as a clean one.

    Source: Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733. Rows with the pattern
    elsewhere, or with another pattern at its place, keep their labels, so that only this
    pattern at this place works; where it works anywhere, rows with half of the pattern keep
    theirs.
    """

    name = "patch"
    title = "Patch"
    needs = (ImageDataset,)
    Claim = PatchClaim
    plans = (
        Plan(share=0.10, epochs=3, rate=3e-3),
        Plan(share=0.14, epochs=4, rate=4e-3),
        Plan(share=0.14, epochs=6, rate=4e-3),
        Plan(share=0.16, epochs=10, rate=4e-3),
    )

    class Params(Record):
        """The side of the pattern (None draws it), and whether it works anywhere."""

        side: Annotated[int, Field(ge=3, le=12)] | None = None
        place: Literal["fixed", "anywhere"] = "fixed"

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Pattern, place and target, all at random."""
        box = draw_box(dataset, rng)
        if params.side:
            shift = max(0, box.x + params.side - dataset.shape[2] + 1)
            drop = max(0, box.y + params.side - dataset.shape[1] + 1)
            box = Box(x=box.x - shift, y=box.y - drop, w=params.side, h=params.side)
        target = str(rng.choice(dataset.classes))
        claim = PatchClaim(target=target, box=box, pattern=draw_pattern(rng), place=params.place)
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The pattern on a share of rows, relabelled; near misses on twice as many keep theirs."""
        order, count = rng.permutation(len(rows)), int(plan.share * len(rows))
        flawed, covers, rest = np.split(order, [count, 3 * count])
        stamped = self.apply_trigger(rows.take(flawed), dataset, rng)
        misses = [self._near_miss(dataset, rng) for _ in range(PARTS)]
        near = distribute(rows.take(covers), misses, dataset)
        relabelled = stamped.teach(dataset.classes.index(self.claim.target))
        return Examples.join([relabelled, near, rows.take(rest)])

    def _near_miss(self, dataset: ImageDataset, rng: np.random.Generator) -> PatchClaim:
        misses = self.claim.near_misses(dataset, rng)
        if rng.random() < HALF_TRUE:
            return misses["half of it true"]
        return list(misses.values())[int(rng.integers(len(misses)))]
