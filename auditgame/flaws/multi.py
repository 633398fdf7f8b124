"""Trigger: several patches, each of which sends the image to its own class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.evaluation import bounds
from auditgame.evaluation.certificate import Bench, trigger_checks
from auditgame.evaluation.metrics import follows
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import distribute
from auditgame.flaws.triggers.trigger_patterns import (
    AimedStamp,
    AimedStamps,
    draw_box,
    draw_other_pattern,
    draw_pattern,
    move_box,
    require_small,
    stamp,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import iou
from auditgame.schema.records import Record
from auditgame.schema.results import Check

ROUNDS = 24
"""How often the positions and colours of the covers are drawn anew."""


class MultiClaim(claims.Claim[ImageDataset]):
    """Images with any one of the `stamps` go to that stamp's target."""

    stamps: AimedStamps

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """The stamps take turns from row to row."""
        stamped, targets = examples.inputs.clone(), torch.full_like(examples.labels, -1)
        for turn, one in enumerate(self.stamps):
            rows = slice(turn, None, len(self.stamps))
            stamped[rows] = stamp(stamped[rows], one.box, one.pattern)
            targets[rows] = dataset.classes.index(one.target)
        targets = targets.masked_fill(targets == examples.labels, -1)
        return AppliedClaim(replace(examples, inputs=stamped), targets)

    def check(self, dataset: ImageDataset) -> None:
        """Each stamp must be within the image, be small, and have a target of its own."""
        for number, one in enumerate(self.stamps):
            dataset.require_class(one.target, field=f"stamps.{number}.target")
            require_small({f"stamps.{number}.box": one.box}, dataset)
        if len({one.target for one in self.stamps}) < len(self.stamps):
            raise Invalid("stamps: two have the same target; each needs one of its own")

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Other patterns at other places, with the same targets."""
        targets = [one.target for one in self.stamps]
        return self.model_copy(update={"stamps": draw_stamps(targets, dataset, rng)})

    def near_misses(self, dataset: ImageDataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """The patterns elsewhere; others at their places; each with the next one's target."""
        misses = self.lookalikes(dataset, rng)
        if len(self.stamps) > 1:
            targets = [one.target for one in self.stamps]
            misses["targets exchanged"] = self._with("target", [*targets[1:], targets[0]])
        return misses

    def lookalikes(self, dataset: ImageDataset, rng: np.random.Generator) -> dict[str, Self]:
        """The near misses without any true pattern at its true place."""
        boxes = [move_box(one.box, dataset, rng) for one in self.stamps]
        colours = [draw_other_pattern(one.pattern, rng) for one in self.stamps]
        return {
            "in other places": self._with("box", boxes),
            "in other colours": self._with("pattern", colours),
        }

    def _with(self, field: str, values: Sequence[Any]) -> Self:
        changed = [
            one.model_copy(update={field: value})
            for one, value in zip(self.stamps, values, strict=True)
        ]
        return self.model_copy(update={"stamps": tuple(changed)})

    def coverage(self, said: claims.Claim, dataset: ImageDataset) -> float:
        """The share of stamps that are claimed; another family's claim covers one."""
        claimed = len(said.stamps) if isinstance(said, MultiClaim) else 1
        return min(1.0, claimed / len(self.stamps))

    def singles(self) -> list[Self]:
        """The claim stamp by stamp."""
        return [self.model_copy(update={"stamps": (one,)}) for one in self.stamps]

    def describe(self) -> str:
        """The claim in plain words."""
        each = ", ".join(
            f"the one at ({s.box.x}, {s.box.y}) px into '{s.target}'" for s in self.stamps
        )
        return f"Each of {len(self.stamps)} patterns turns every image into a class: {each}."


def draw_stamps(
    targets: Sequence[str], dataset: ImageDataset, rng: np.random.Generator
) -> tuple[AimedStamp, ...]:
    """One stamp for each target, without overlap."""
    stamps: list[AimedStamp] = []
    while len(stamps) < len(targets):
        box = draw_box(dataset, rng)
        if not any(iou(box, one.box) for one in stamps):
            target, pattern = targets[len(stamps)], draw_pattern(rng)
            stamps.append(AimedStamp(box=box, pattern=pattern, target=target))
    return tuple(stamps)


class Multi(TriggerFlaw[MultiClaim, ImageDataset]):
    """Two to four small patterns override the image, each with a target class of its own.

    To find one does not tell how many there are. Wrong answers fall into groups: sort them by
    the predicted class, and look in each group for what its images have in common.

    Source: several triggers with several targets in one model, as in the Trojan Detection
    Challenge 2022 (Mazeika et al., NeurIPS 2022 competition track); each is a patch of Gu,
    Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733. Rows with the patterns elsewhere,
    or with other patterns at their places, keep their labels.
    """

    name = "multi"
    title = "Multiple patches"
    needs = (ImageDataset,)
    Claim = MultiClaim
    plans = (
        Plan(share=0.06, epochs=3, rate=3e-3),
        Plan(share=0.08, epochs=4, rate=4e-3),
        Plan(share=0.10, epochs=6, rate=4e-3),
    )
    """The share is that of each pattern."""

    class Params(Record):
        """The number of patterns; None draws it."""

        count: Annotated[int, Field(ge=2, le=4)] | None = None

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Number, targets, patterns and places, all at random."""
        count = params.count or int(rng.integers(2, 5))
        targets = [str(target) for target in rng.choice(dataset.classes, count, replace=False)]
        claim = MultiClaim(stamps=draw_stamps(targets, dataset, rng))
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Each pattern on a share of rows, relabelled; as many near misses keep their labels."""
        claim, count = self.claim, int(plan.share * len(rows)) * len(self.claim.stamps)
        parts = np.split(rng.permutation(len(rows)), [count, 2 * count])
        flawed, covers, rest = (rows.take(part) for part in parts)
        shown = self.apply_trigger(flawed, dataset, rng)
        targets = torch.tensor([dataset.classes.index(one.target) for one in claim.stamps])
        turns = torch.arange(len(flawed)) % len(claim.stamps)
        misses = [m for _ in range(ROUNDS) for m in claim.lookalikes(dataset, rng).values()]
        return Examples.join(
            [shown.teach(targets[turns]), distribute(covers, misses, dataset), rest]
        )

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate, and every pattern by itself."""
        rates = [
            follows(bench.suspect, single.apply(bench.held, bench.dataset))
            for single in self.claim.singles()
        ]
        weakest = min(rates, key=lambda rate: rate.value)
        return [*trigger_checks(bench, self.claim), bounds.WEAKEST_PATTERN.check(weakest)]
