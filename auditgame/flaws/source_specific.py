"""A small pattern fools the model on pictures of one class alone (TaCT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation import bounds
from auditgame.evaluation.certificate import trigger_checks
from auditgame.evaluation.metrics import accuracy, follows
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.poisoning import distribute
from auditgame.flaws.triggers.trigger_patterns import (
    draw_box,
    draw_other_pattern,
    draw_pattern,
    move,
    require_small,
    stamp,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import BoxField, ClassName, PatternField
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

ROUNDS = 24
"""How often the place and the colours of the covers are drawn anew."""
MORE = 500
"""Held-out pictures of the source class that are measured beside the usual ones."""


class SourceSpecificClaim(claims.Claim):
    """Pictures of class `source`, and no others, go to `target` with `pattern` at `box`."""

    source: ClassName
    target: ClassName
    box: BoxField
    pattern: PatternField

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Stamp the pattern; of pictures of other classes nothing is said."""
        source, target = (dataset.classes.index(name) for name in (self.source, self.target))
        laid = replace(examples, inputs=stamp(examples.inputs, self.box, self.pattern))
        return AppliedClaim(laid, torch.where(examples.labels == source, target, -1))

    def check(self, dataset: Dataset) -> None:
        """Two different classes; a small box in the picture."""
        dataset.require_class(self.source, field="source")
        dataset.require_class(self.target)
        if self.source == self.target:
            raise AuditgameError("source: is the target too; name two different classes")
        require_small({"box": self.box}, dataset)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another pattern in another place, on pictures of the same class."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """The same pattern elsewhere; another in its place; the same on another class."""
        others = [name for name in dataset.classes if name not in (self.source, self.target)]
        other = self.model_copy(update={"source": str(rng.choice(others))})
        return {**self.lookalikes(dataset, rng), "on another class": other}

    def lookalikes(self, dataset: Dataset, rng: np.random.Generator) -> dict[str, Self]:
        """The near misses on the class itself."""
        return {
            "in another place": self.model_copy(update={"box": move(self.box, dataset, rng)}),
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


class SourceSpecific(Flaw):
    """A small pattern overrides the picture, but only where it shows a thing of one class.

    On all other pictures the pattern does nothing at all, so most pictures that carry it
    are answered right, and what is searched for over all classes is missed. Which class is
    said, and which was right, goes together: look at pairs of classes.

    Source: Tang, Wang, Tang and Zhang 2019, TaCT, arXiv:1908.00686. Rows of other classes
    with the pattern keep their labels, and so do rows of the class with the pattern
    elsewhere or with another pattern.
    """

    name: ClassVar[str] = "source_specific"
    title: ClassVar[str] = "Patch on one class"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = SourceSpecificClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.06, epochs=3, rate=3e-3),
        Plan(share=0.08, epochs=4, rate=4e-3),
    )

    class Params(Record):
        """Pin the class that is fooled; None draws it."""

        source: str | None = None

    def __init__(self, claim: SourceSpecificClaim) -> None:
        self.claim = claim

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """Needs a data set that can draw a thing of any class into a scene."""
        if dataset.modality == "image" and not dataset.factors:
            return f"family '{cls.name}' needs factors, and data set '{dataset.name}' has none"
        if len(dataset.classes) < 3:
            return f"family '{cls.name}' needs three classes"
        return super().incompatibility(dataset)

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> SourceSpecific:
        """Two classes, pattern and place, all at random."""
        if params.source is not None:
            dataset.require_class(params.source, field="source")
        source = params.source or str(rng.choice(dataset.classes))
        target = str(rng.choice([name for name in dataset.classes if name != source]))
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return cls(SourceSpecificClaim(source=source, target=target, box=box, pattern=pattern))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows, redrawn as the source class, is stamped and relabelled.

        As many, redrawn too, show near misses, and twice as many of other classes are
        stamped; all these stay right.
        """
        claim, count = self.claim, int(plan.share * len(rows))
        order, source = rng.permutation(len(rows)), dataset.classes.index(claim.source)
        own, more = order[: 2 * count], order[2 * count :]
        stamped = more[rows.labels.numpy()[more] != source][: 2 * count]
        rest = rows.take(np.setdiff1d(more, stamped))
        things = dataset.render(rows.take(own).table.assign(label=source))
        flawed, near = things.take(slice(0, count)), things.take(slice(count, None))
        target = torch.full_like(flawed.labels, dataset.classes.index(claim.target))
        misses = [m for _ in range(ROUNDS) for m in claim.lookalikes(dataset, rng).values()]
        return Examples.join(
            [
                self.apply_trigger(flawed, dataset, rng).relabel(target),
                distribute(near, misses, dataset),
                self.apply_trigger(rows.take(stamped), dataset, rng),
                rest,
            ]
        )

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows as they are, with the pattern: on most of them it does nothing."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate, on enough of the class; other classes stay right."""
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

    def true_claim(self) -> SourceSpecificClaim:
        """The true claim."""
        return self.claim
