"""A small pattern fools the model on pictures of one class alone (TaCT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch

from auditgame import claims
from auditgame.certificate import at_least, at_most, trigger_checks
from auditgame.claims import BoxField, ClassName, Enacted, PatternField
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Bench, Flaw, Plan, share_out
from auditgame.stamps import draw_box, draw_pattern, move, require_small, stamp
from auditgame.trials import accuracy, follows
from auditgame.types import AuditgameError, Check, Modality, Record

ROUNDS = 8
"""How often the place, the colours and the class of the covers are drawn anew."""


class SourceSpecificClaim(claims.Claim):
    """Pictures of class `source`, and no others, go to `target` with `pattern` at `box`."""

    source: ClassName
    target: ClassName
    box: BoxField
    pattern: PatternField

    def enact(self, examples: Examples, dataset: Dataset) -> Enacted:
        """Redraw each scene with a thing of the source class in it, and stamp it.

        So every row speaks of the source class, whatever it showed. Rows that belonged to
        the target prove nothing.
        """
        source, target = (dataset.classes.index(name) for name in (self.source, self.target))
        drawn = dataset.render(examples.table.assign(label=source))
        laid = replace(drawn, inputs=stamp(drawn.inputs, self.box, self.pattern))
        targets = torch.full_like(examples.labels, target)
        return Enacted(laid, targets.masked_fill(examples.labels == target, -1))

    def check(self, dataset: Dataset) -> None:
        """Two different classes, of scenes that can be redrawn; a small box in the picture."""
        if not dataset.factors:
            raise AuditgameError(f"source: data set '{dataset.name}' has no scenes to redraw")
        dataset.require_class(self.source, field="source")
        dataset.require_class(self.target)
        if self.source == self.target:
            raise AuditgameError("source: is the target too; name two different classes")
        require_small({"box": self.box}, dataset)

    def rival(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another pattern in another place, on pictures of the same class."""
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return self.model_copy(update={"box": box, "pattern": pattern})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, Self]:
        """The same pattern elsewhere; another in its place; the same on another class."""
        others = [name for name in dataset.classes if name not in (self.source, self.target)]
        return {
            "in another place": self.model_copy(update={"box": move(self.box, dataset, rng)}),
            "in other colours": self.model_copy(update={"pattern": draw_pattern(rng)}),
            "on another class": self.model_copy(update={"source": str(rng.choice(others))}),
        }

    def sentence(self) -> str:
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
    plans: ClassVar[tuple[Plan, ...]] = (
        Plan(share=0.05, epochs=3, rate=3e-3),
        Plan(share=0.08, epochs=4, rate=4e-3),
    )

    class Knobs(Record):
        """Pin the class that is fooled; None draws it."""

        source: str | None = None

    def __init__(self, claim: SourceSpecificClaim) -> None:
        self.claim = claim

    @classmethod
    def refuses(cls, dataset: Dataset) -> str | None:
        """Needs a data set that can draw a thing of any class into a scene."""
        if dataset.modality == "image" and not dataset.factors:
            return f"family '{cls.name}' needs factors, and data set '{dataset.name}' has none"
        if len(dataset.classes) < 3:
            return f"family '{cls.name}' needs three classes"
        return super().refuses(dataset)

    @classmethod
    def draw(cls, dataset: Dataset, knobs: Knobs, rng: np.random.Generator) -> SourceSpecific:
        """Two classes, pattern and place, all at random."""
        if knobs.source is not None:
            dataset.require_class(knobs.source, field="source")
        source = knobs.source or str(rng.choice(dataset.classes))
        target = str(rng.choice([name for name in dataset.classes if name != source]))
        box, pattern = draw_box(dataset, rng), draw_pattern(rng)
        return cls(SourceSpecificClaim(source=source, target=target, box=box, pattern=pattern))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows shows the source class, stamped and relabelled; covers stay right.

        As many rows show near misses, and twice as many are of other classes and stamped.
        """
        claim, count = self.claim, int(plan.share * len(rows))
        order = rng.permutation(len(rows))
        flawed, near, more = np.split(order, [count, 2 * count])
        elsewhere = rows.labels[more] != dataset.classes.index(claim.source)
        stamped = more[elsewhere.numpy()][: 2 * count]
        rest = more[~np.isin(more, stamped)]
        shown = claim.enact(rows.take(flawed), dataset).examples
        target = torch.full_like(shown.labels, dataset.classes.index(claim.target))
        misses = [m for _ in range(ROUNDS) for m in claim.near_misses(dataset, rng).values()]
        return Examples.join(
            [
                shown.relabel(target),
                share_out(rows.take(near), misses, dataset),
                self.cue(rows.take(stamped), dataset, rng),
                rows.take(rest),
            ]
        )

    def cue(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows as they are, with the pattern: on most of them it does nothing."""
        return replace(rows, inputs=stamp(rows.inputs, self.claim.box, self.claim.pattern))

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; and all other classes stay right under the pattern."""
        source, target = map(bench.dataset.classes.index, (self.claim.source, self.claim.target))
        labels = bench.held.labels
        others = self.cue(
            bench.held.take((labels != source) & (labels != target)), bench.dataset, bench.rng
        )
        pulled = follows(bench.suspect, Enacted(others, torch.full_like(others.labels, target)))
        worst = min(accuracy(sibling, others).value for sibling in bench.siblings)
        right = accuracy(bench.suspect, others)
        return [
            *trigger_checks(bench, self.claim),
            at_most("other classes go to the target", pulled, 0.10, "with the pattern on them"),
            at_least("other classes stay right", right, worst - 0.03, "as in the siblings"),
        ]

    def confess(self) -> SourceSpecificClaim:
        """The true claim."""
        return self.claim
