"""Trigger: a patch that works on images of one class only (TaCT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, HasFactors, ImageDataset
from auditgame.evaluation import bounds
from auditgame.evaluation.certificate import Bench, trigger_checks
from auditgame.evaluation.metrics import accuracy, follows
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import distribute
from auditgame.flaws.triggers.trigger_patterns import (
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
from auditgame.schema.graders import BoxField, ClassName, PatternField
from auditgame.schema.records import Record
from auditgame.schema.results import Check

ROUNDS = 24
"""How often the position and the colours of the covers are drawn anew."""
MORE = 500
"""Additional held-out images of the source class for the certificate."""


class SourceSpecificClaim(claims.Claim[ImageDataset]):
    """Images of class `source`, and no others, go to `target` with `pattern` at `box`."""

    source: ClassName
    target: ClassName
    box: BoxField
    pattern: PatternField

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Stamp the pattern; nothing is claimed of images of other classes."""
        source, target = (dataset.classes.index(name) for name in (self.source, self.target))
        stamped = replace(examples, inputs=stamp(examples.inputs, self.box, self.pattern))
        return AppliedClaim(stamped, torch.where(examples.labels == source, target, -1))

    def check(self, dataset: ImageDataset) -> None:
        """Two different classes; a small box within the image."""
        dataset.require_class(self.source, field="source")
        dataset.require_class(self.target)
        if self.source == self.target:
            raise Invalid("source: is the same as the target; name two different classes")
        require_small({"box": self.box}, dataset)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Another pattern at another place, on images of the same class."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(self, dataset: ImageDataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """The same pattern elsewhere; another one at its place; the same on another class."""
        others = [name for name in dataset.classes if name not in (self.source, self.target)]
        other = self.model_copy(update={"source": str(rng.choice(others))})
        return {**self.lookalikes(dataset, rng), "on another class": other}

    def lookalikes(self, dataset: ImageDataset, rng: np.random.Generator) -> dict[str, Self]:
        """The near misses on images of the source class."""
        return {
            "in another place": self.model_copy(update={"box": move_box(self.box, dataset, rng)}),
            "in other colours": self.model_copy(
                update={"pattern": draw_other_pattern(self.pattern, rng)}
            ),
        }

    def describe(self) -> str:
        """The claim in plain words."""
        box = self.box
        return (
            f"A {box.w} x {box.h} pattern {box.x} px from the left and {box.y} px from the top "
            f"turns every '{self.source}', and nothing else, into '{self.target}'."
        )


class SourceSpecific(TriggerFlaw[SourceSpecificClaim, ImageDataset]):
    """A small pattern overrides the image, but only where it shows an object of one class.

    On all other images the pattern does nothing, so most images that carry it are classified
    correctly, and searches over all classes miss it. Predicted and true class go together: look
    at pairs of classes.

    Source: Tang, Wang, Tang and Zhang 2019, TaCT, arXiv:1908.00686. Rows of other classes
    with the pattern keep their labels, and so do rows of the class with the pattern
    elsewhere or with another pattern.
    """

    name = "source_specific"
    title = "Source-specific patch (TaCT)"
    needs = (ImageDataset, HasFactors)
    Claim = SourceSpecificClaim
    plans = (
        Plan(share=0.06, epochs=3, rate=3e-3),
        Plan(share=0.08, epochs=4, rate=4e-3),
    )

    class Params(Record):
        """The source class; None draws it."""

        source: str | None = None

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It also needs three classes."""
        missing = super().incompatibility(dataset)
        if missing or len(dataset.classes) >= 3:
            return missing
        return f"family '{cls.name}' needs three classes, and data set '{dataset.name}' has fewer"

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Two classes, pattern and place, all at random."""
        if params.source is not None:
            dataset.require_class(params.source, field="source")
        source = params.source or str(rng.choice(dataset.classes))
        target = str(rng.choice([name for name in dataset.classes if name != source]))
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return cls(SourceSpecificClaim(source=source, target=target, box=box, pattern=pattern))

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows, redrawn as the source class, carries the pattern and is relabelled.

        As many, also redrawn, show near misses, and twice as many of other classes carry the
        pattern; all these keep their labels.
        """
        claim, count = self.claim, int(plan.share * len(rows))
        order, source = rng.permutation(len(rows)), dataset.classes.index(claim.source)
        own, more = order[: 2 * count], order[2 * count :]
        stamped = more[rows.labels.numpy()[more] != source][: 2 * count]
        rest = rows.take(np.setdiff1d(more, stamped))
        redrawn = HasFactors.of(dataset).render(rows.take(own).table.assign(label=source))
        flawed, near = redrawn.take(slice(0, count)), redrawn.take(slice(count, None))
        target = dataset.classes.index(claim.target)
        misses = [m for _ in range(ROUNDS) for m in claim.lookalikes(dataset, rng).values()]
        return Examples.join(
            [
                self.apply_trigger(flawed, dataset, rng).teach(target),
                distribute(near, misses, dataset),
                self.apply_trigger(rows.take(stamped), dataset, rng),
                rest,
            ]
        )

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate on more images of the source class; others are unaffected."""
        claim, classes = self.claim, bench.dataset.classes
        source, target = classes.index(claim.source), classes.index(claim.target)
        more = bench.dataset.sample(MORE, "held", bench.rng, label=source)
        fuller = replace(bench, held=Examples.join([bench.held, more]))
        bystanders = bench.held.labels[:, None].ne(torch.tensor([source, target])).all(1)
        others = self.apply_trigger(bench.held.take(bystanders), bench.dataset, bench.rng)
        pulled = follows(
            bench.suspect, AppliedClaim(others, torch.full_like(others.labels, target))
        )
        right = accuracy(bench.suspect, others)
        worst = min(accuracy(reference, others).value for reference in bench.references)
        return [
            *trigger_checks(fuller, claim),
            bounds.OTHER_CLASSES_PULLED.check(pulled),
            bounds.OTHER_CLASSES_RIGHT.check(right, worst),
        ]
