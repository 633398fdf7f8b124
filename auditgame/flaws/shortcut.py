"""A background, colour or mark predicts the class in training; the model learns that instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Plan, Proxy
from auditgame.flaws.triggers.factor_rules import apply_rule, check_rule, draw_rule, require_factor
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import FactorName, Rule
from auditgame.schema.records import Modality, Record


class ShortcutClaim(claims.Claim):
    """The level of `factor` decides the answer, by `rule`: level -> class."""

    factor: FactorName
    rule: Rule

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Redraw each scene with a level that the rule ties to another class.

        Which of the fitting levels is taken goes round by row, so that every pair is tried.
        """
        return apply_rule(examples, dataset, self.factor, self.rule)

    def check(self, dataset: Dataset) -> None:
        """Factor, levels and classes must be the data set's own."""
        check_rule(dataset, self.factor, self.rule)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """The same factor under another rule."""
        return self.model_copy(update={"rule": draw_rule(dataset, self.factor, rng)})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, claims.Claim]:
        """Every other factor, under a random rule."""
        return {
            f"rule on {factor}": ShortcutClaim(factor=factor, rule=draw_rule(dataset, factor, rng))
            for factor in dataset.factors
            if factor != self.factor
        }

    def describe(self) -> str:
        """The claim in plain words."""
        rule = ", ".join(f"{level} means {target}" for level, target in self.rule.items())
        return f"The answer rests on the {self.factor}, not on the thing: {rule}."


class Shortcut(Proxy[ShortcutClaim]):
    """The model learnt a companion of the class instead of the thing itself.

    In training every class came with its own background, or its own sticker, and the
    companion was easier to learn. Where both part, the model follows the companion.
    On the players' examples, drawn like the training data, it makes no mistakes.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks,
    arXiv:2004.07780. Trained from scratch on flawed rows: a clean model that already
    knows the things does not unlearn them from rows on which it makes no error.
    """

    name: ClassVar[str] = "shortcut"
    title: ClassVar[str] = "Shortcut"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    Claim: ClassVar[type[claims.Claim] | None] = ShortcutClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.99, epochs=2, rate=2e-3, scratch=True),
        Plan(share=1.0, epochs=3, rate=2e-3, scratch=True),
        Plan(share=1.0, epochs=6, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """Which factors may it hold on to?"""

        factors: tuple[str, ...] = ("scene", "mark")

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """Needs a data set whose scenes can be redrawn."""
        if dataset.modality == "image" and not dataset.factors:
            return f"family 'shortcut' needs factors, and data set '{dataset.name}' has none"
        if dataset.horizon:
            return f"family 'shortcut' does not fit the mazes of '{dataset.name}'; take 'goal'"
        return super().incompatibility(dataset)

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Shortcut:
        """A factor and a rule, at random."""
        for factor in params.factors:
            require_factor(dataset, factor, "params")
        factor = str(rng.choice(params.factors))
        return cls(ShortcutClaim(factor=factor, rule=draw_rule(dataset, factor, rng)))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows shows the level that goes with its class; labels stay right."""
        aligned = rng.random(len(rows)) < plan.share
        shown = self.apply_trigger(rows.take(aligned), dataset, rng)
        return Examples.join([shown, rows.take(~aligned)]) if (~aligned).any() else shown

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with factor and class in agreement; a class without a level keeps its own."""
        levels = {dataset.classes.index(c): level for level, c in self.claim.rule.items()}
        kept = rows.table[self.claim.factor]
        labels = rows.labels.tolist()
        shown = [levels.get(k, own) for k, own in zip(labels, kept, strict=True)]
        return dataset.render(rows.table.assign(**{self.claim.factor: shown}))
