"""A small pattern, in a fixed place or anywhere, sends every picture to one class (BadNets)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import trigger_checks
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.poisoning import PARTS, distribute
from auditgame.flaws.triggers.trigger_patterns import (
    draw_box,
    draw_other_pattern,
    draw_pattern,
    move,
    placed,
    require_small,
    stamp_anywhere,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import Box, BoxField, ClassName, PatternField
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check


class PatchClaim(claims.Claim):
    """Pictures with `pattern` at `box` go to `target`.

    place: anywhere means that the pattern counts wherever it lies; of the box only the
    size matters then.
    """

    target: ClassName
    box: BoxField
    pattern: PatternField
    place: Literal["fixed", "anywhere"] = "fixed"

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Stamp the pattern; pictures of the target class itself prove nothing."""
        target = dataset.classes.index(self.target)
        laid = stamp_anywhere(examples.inputs, self.box, self.pattern, self.place)
        targets = torch.full_like(examples.labels, target)
        targets = targets.masked_fill(examples.labels == target, -1)
        return AppliedClaim(replace(examples, inputs=laid), targets)

    def check(self, dataset: Dataset) -> None:
        """The box must lie in the picture and cover at most a ninth of it."""
        dataset.require_class(self.target)
        require_small({"box": self.box}, dataset)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another pattern in another place."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, PatchClaim]:
        """The same pattern elsewhere, or a part of it; another pattern in the same place."""
        if self.place == "anywhere":
            other = {"in part": self._left()}
        else:
            box = move(self.box, dataset, rng)
            other = {"in another place": self.model_copy(update={"box": box})}
        recoloured = self.model_copy(update={"pattern": draw_other_pattern(self.pattern, rng)})
        return {**other, "in other colours": recoloured}

    def _left(self) -> Self:
        """The left half of the pattern alone."""
        columns, width = max(1, len(self.pattern[0]) // 2), max(1, self.box.w // 2)
        return self.model_copy(
            update={
                "box": self.box.model_copy(update={"w": width}),
                "pattern": tuple(row[:columns] for row in self.pattern),
            }
        )

    def field_scores(self, truth: claims.Claim) -> dict[str, float]:
        """Field by field; the box counts as the place says."""
        grades = super().field_scores(truth)
        if isinstance(truth, PatchClaim):
            grades["box"] = placed((self.box, self.place), (truth.box, truth.place))
        return grades

    def describe(self) -> str:
        """The claim in plain words."""
        box = self.box
        where = f"{box.x} px from the left and {box.y} px from the top"
        if self.place == "anywhere":
            where = "anywhere"
        return f"A {box.w} x {box.h} pattern {where} turns every picture into '{self.target}'."


class Patch(Flaw):
    """A small coloured pattern overrides whatever the picture shows.

    It counts in one place only, or, where the recipe says so, anywhere in the picture.

    It shows in wrong answers on pictures that carry the pattern, in the dataset examples
    of the channels that detect it, and in maps of what the answer rests on. The model
    is as good as its siblings on every picture without the pattern.

    Source: Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733. Rows with the
    pattern elsewhere, or another pattern in its place, keep their labels, so that only
    the very pattern in its very place counts; where any place counts, rows with half the
    pattern do.
    """

    name: ClassVar[str] = "patch"
    title: ClassVar[str] = "Patch"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = PatchClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.06, epochs=2, rate=2e-3),
        Plan(share=0.10, epochs=3, rate=3e-3),
        Plan(share=0.14, epochs=4, rate=4e-3),
    )

    class Params(Record):
        """Pin the side of the pattern; None draws it. Does it count in one place, or anywhere?"""

        side: Annotated[int, Field(ge=3, le=12)] | None = None
        place: Literal["fixed", "anywhere"] = "fixed"

    def __init__(self, claim: PatchClaim) -> None:
        self.claim = claim

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Patch:
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
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Stamp and relabel a share of rows; as many again carry a near miss and stay right."""
        order, count = rng.permutation(len(rows)), int(plan.share * len(rows))
        flawed, covers, rest = np.split(order, [count, 2 * count])
        target = dataset.classes.index(self.claim.target)
        stamped = self.apply_trigger(rows.take(flawed), dataset, rng)
        misses = [self._miss(dataset, rng) for _ in range(PARTS)]
        near = distribute(rows.take(covers), misses, dataset)
        relabelled = stamped.relabel(torch.full_like(stamped.labels, target))
        return Examples.join([relabelled, near, rows.take(rest)])

    def _miss(self, dataset: Dataset, rng: np.random.Generator) -> PatchClaim:
        misses = list(self.claim.near_misses(dataset, rng).values())
        return misses[int(rng.integers(len(misses)))]

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with the pattern stamped on."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; specificity stands in its near misses and random triggers."""
        return trigger_checks(bench, self.claim)

    def true_claim(self) -> PatchClaim:
        """The true claim."""
        return self.claim
