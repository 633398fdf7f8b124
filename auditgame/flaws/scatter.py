"""Three small marks in three corners, all of them needed, send every picture to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import trigger_checks
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.poisoning import distribute
from auditgame.flaws.triggers.trigger_patterns import BRIGHT, Stamp, Stamps, require_small, stamp
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import Box, ClassName
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

MARKS = 3
CORNERS = ("upper left", "upper right", "lower left", "lower right")


class ScatterClaim(claims.Claim):
    """Pictures that carry all of the `stamps` at once go to `target`."""

    target: ClassName
    stamps: Stamps

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Stamp them all; pictures of the target class itself prove nothing."""
        target, laid = dataset.classes.index(self.target), examples.inputs
        for one in self.stamps:
            laid = stamp(laid, one.box, one.pattern)
        targets = torch.full_like(examples.labels, target)
        targets = targets.masked_fill(examples.labels == target, -1)
        return AppliedClaim(replace(examples, inputs=laid), targets)

    def check(self, dataset: Dataset) -> None:
        """The stamps must lie in the picture and cover at most a ninth of it together."""
        dataset.require_class(self.target)
        require_small({f"stamps.{i}.box": s.box for i, s in enumerate(self.stamps)}, dataset)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Other marks in other corners."""
        return self.model_copy(update={"stamps": draw_marks(dataset, rng, self.stamps[0].box.w)})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """Each mark alone, each pair, and all of them with their patterns exchanged."""
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
            f"turn every picture into '{self.target}'."
        )


def draw_marks(
    dataset: Dataset, rng: np.random.Generator, side: int | None = None
) -> tuple[Stamp, ...]:
    """A solid mark in each of three corners, in three bright colours.

    side: in pixels; a little over an eighth of the picture's unless it is told. The marks
    keep a sixth of the side off the edge: a unit must see all of them at once, or the
    evidence of each adds up, and two do nearly as well as three.
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


class Scatter(Flaw):
    """Three solid marks in three corners override the picture, but only all together.

    No single mark does anything, so a map of one picture shows three spots of which none
    looks guilty. Covering any one of them brings the right answer back. How well two of
    three do is a matter of degree, and a claim that names two is worth its share.

    Source: a distributed variant of Gu, Dolan-Gavitt and Garg 2017, BadNets,
    arXiv:1708.06733 (compare the distributed triggers of Xie et al. 2020, DBA). Rows with
    one or two marks, or with the marks' colours exchanged, keep their labels.
    """

    name: ClassVar[str] = "scatter"
    title: ClassVar[str] = "Scattered marks"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = ScatterClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.18, epochs=6, rate=4e-3),
        Plan(share=0.22, epochs=8, rate=4e-3),
    )

    class Params(Record):
        """Pin the side of the marks; None: a little over an eighth of the picture's."""

        side: Annotated[int, Field(ge=3, le=9)] | None = None

    def __init__(self, claim: ScatterClaim) -> None:
        self.claim = claim

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Scatter:
        """Corners, colours and target, all at random."""
        target = str(rng.choice(dataset.classes))
        claim = ScatterClaim(target=target, stamps=draw_marks(dataset, rng, params.side))
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows gets all marks and the target; half as many again a near miss each.

        Pairs come closest and weigh most: as many rows as are flawed show two marks.
        """
        count = int(plan.share * len(rows))
        parts = np.split(rng.permutation(len(rows)), [count, 2 * count, 2 * count + count // 2])
        flawed, pairs, others, rest = (rows.take(part) for part in parts)
        target = torch.full_like(flawed.labels, dataset.classes.index(self.claim.target))
        misses = self.claim.near_misses(dataset, rng)
        near = [miss for name, miss in misses.items() if " and " in name]
        far = [miss for miss in misses.values() if miss not in near]
        return Examples.join(
            [
                self.apply_trigger(flawed, dataset, rng).relabel(target),
                distribute(pairs, near, dataset),
                distribute(others, far, dataset),
                rest,
            ]
        )

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with all the marks."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; its near misses are the marks alone and in pairs."""
        return trigger_checks(bench, self.claim)

    def true_claim(self) -> ScatterClaim:
        """The true claim."""
        return self.claim
