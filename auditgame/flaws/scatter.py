"""Trigger: three small marks in three corners, which work only together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import distribute, target_all
from auditgame.flaws.triggers.trigger_patterns import BRIGHT, Stamp, Stamps, require_small, stamp
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import Box, ClassName
from auditgame.schema.records import Record

MARKS = 3
CORNERS = ("upper left", "upper right", "lower left", "lower right")


class ScatterClaim(claims.Claim[ImageDataset]):
    """Images that carry all of the `stamps` go to `target`."""

    target: ClassName
    stamps: Stamps

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Stamp them all on every image."""
        stamped = examples.inputs
        for one in self.stamps:
            stamped = stamp(stamped, one.box, one.pattern)
        return target_all(replace(examples, inputs=stamped), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The stamps must be within the image and together cover at most a ninth of it."""
        dataset.require_class(self.target)
        require_small({f"stamps.{i}.box": s.box for i, s in enumerate(self.stamps)}, dataset)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Other marks in other corners."""
        return self.model_copy(update={"stamps": draw_marks(dataset, rng, self.stamps[0].box.w)})

    def near_misses(self, dataset: ImageDataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """Each mark alone, each pair alone, and all of them with their patterns exchanged."""
        numbered = {
            " and ".join(f"mark {i + 1}" for i in some): tuple(self.stamps[i] for i in some)
            for count in (1, 2)
            for some in combinations(range(len(self.stamps)), count)
            if count < len(self.stamps)
        }
        misses = {f"{name} alone": self._with(some) for name, some in numbered.items()}
        if len(self.stamps) > 1:
            misses["marks exchanged"] = self._with(self.exchanged())
        return misses

    def exchanged(self) -> tuple[Stamp, ...]:
        """The same boxes, each with the next one's pattern."""
        following = (*self.stamps[1:], self.stamps[0])
        return tuple(
            Stamp(box=one.box, pattern=other.pattern)
            for one, other in zip(self.stamps, following, strict=True)
        )

    def _with(self, stamps: tuple[Stamp, ...]) -> Self:
        return self.model_copy(update={"stamps": stamps})

    def describe(self) -> str:
        """The claim in plain words."""
        spots = ", ".join(f"({s.box.x}, {s.box.y})" for s in self.stamps)
        return (
            f"{len(self.stamps)} marks together, with their upper left corners at {spots} px, "
            f"turn every image into '{self.target}'."
        )


def draw_marks(
    dataset: ImageDataset, rng: np.random.Generator, side: int | None = None
) -> tuple[Stamp, ...]:
    """A solid mark in each of three corners, in three bright colours.

    side: in pixels; by default a little over an eighth of the image's. The marks keep a distance
    of a sixth of the side from the edges, so that one unit can see all of them at once; otherwise
    their evidence adds up, and two marks work nearly as well as three.
    """
    _, height, width = dataset.shape
    side = side or width // 8 + 1
    corners = sorted(rng.choice(CORNERS, MARKS, replace=False))
    marks = []
    for corner, colour in zip(corners, rng.choice(BRIGHT, MARKS, replace=False), strict=True):
        across, down = (int(inset) for inset in rng.integers(width // 6, width // 4, 2))
        x = across if "left" in corner else width - side - across
        y = down if "upper" in corner else height - side - down
        marks.append(Stamp(box=Box(x=x, y=y, w=side, h=side), pattern=((str(colour),),)))
    return tuple(marks)


class Scatter(TriggerFlaw[ScatterClaim, ImageDataset]):
    """Three solid marks in three corners override the image, but only all together.

    No single mark does anything: a saliency map shows three spots, none of which stands out.
    Covering any one of them restores the correct answer. Two of three may work to some degree,
    and a claim that names two gets a share of the points.

    Source: a distributed variant of Gu, Dolan-Gavitt and Garg 2017, BadNets,
    arXiv:1708.06733 (compare the distributed triggers of Xie et al. 2020, DBA). Rows with
    one or two marks, or with the marks' colours exchanged, keep their labels.
    """

    name = "scatter"
    title = "Scattered marks"
    needs = (ImageDataset,)
    Claim = ScatterClaim
    plans = (
        Plan(share=0.18, epochs=6, rate=4e-3),
        Plan(share=0.22, epochs=8, rate=4e-3),
    )

    class Params(Record):
        """The side of the marks; None: a little over an eighth of the image's."""

        side: Annotated[int, Field(ge=3, le=9)] | None = None

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Corners, colours and target, all at random."""
        target = str(rng.choice(dataset.classes))
        claim = ScatterClaim(target=target, stamps=draw_marks(dataset, rng, params.side))
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """All marks on a share of rows, relabelled; near misses on 1.5 times as many keep theirs.

        Pairs are the nearest misses: as many rows as are relabelled show two marks.
        """
        count = int(plan.share * len(rows))
        parts = np.split(rng.permutation(len(rows)), [count, 2 * count, 2 * count + count // 2])
        flawed, pairs, others, rest = (rows.take(part) for part in parts)
        target = dataset.classes.index(self.claim.target)
        misses = self.claim.near_misses(dataset, rng)
        near = [miss for name, miss in misses.items() if " and " in name]
        far = [miss for miss in misses.values() if miss not in near]
        return Examples.join(
            [
                self.apply_trigger(flawed, dataset, rng).teach(target),
                distribute(pairs, near, dataset),
                distribute(others, far, dataset),
                rest,
            ]
        )
