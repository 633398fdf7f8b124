"""Shortcut: a background, colour or mark predicts the class in training and is learnt instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from auditgame.datasets import Dataset, Examples, HasFactors, HasMazes, ImageDataset
from auditgame.flaws import Plan, ProxyFlaw
from auditgame.flaws.triggers.factor_rules import apply_rule, check_rule, draw_rule, require_factor
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import FactorName, Rule
from auditgame.schema.records import Record


class ShortcutClaim(claims.Claim[HasFactors]):
    """The level of `factor` decides the answer, by `rule`: level -> class."""

    factor: FactorName
    rule: Rule

    def apply(self, examples: Examples, dataset: HasFactors) -> AppliedClaim:
        """Redraw each scene with a level that the rule pairs with another class.

        The levels that fit take turns from row to row, so that every pair occurs.
        """
        return apply_rule(examples, dataset, self.factor, self.rule)

    def check(self, dataset: HasFactors) -> None:
        """Factor, levels and classes must be the data set's own."""
        check_rule(dataset, self.factor, self.rule)

    def random_alternative(self, dataset: HasFactors, rng: np.random.Generator) -> Self:
        """The same factor under another rule."""
        return self.model_copy(update={"rule": draw_rule(dataset, self.factor, rng)})

    def near_misses(
        self, dataset: HasFactors, rng: np.random.Generator
    ) -> Mapping[str, claims.Claim]:
        """Every other factor, under a random rule."""
        return {
            f"rule on {factor}": ShortcutClaim(factor=factor, rule=draw_rule(dataset, factor, rng))
            for factor in dataset.factors
            if factor != self.factor
        }

    def describe(self) -> str:
        """The claim in plain words."""
        rule = ", ".join(f"{level} means {target}" for level, target in self.rule.items())
        return f"The answer depends on the {self.factor}, not on the object: {rule}."


class Shortcut(ProxyFlaw[ShortcutClaim, HasFactors]):
    """The model learnt a feature that goes with the class instead of the object itself.

    In training every class had its own background, or its own sticker, which was easier to
    learn. Where object and feature disagree, the model follows the feature. On the players'
    examples, drawn like the training data, it makes no mistakes.

    Known leak: ordinary inputs on which cue and truth part are answered wrongly, so that accuracy
    on fresh inputs tells such a model from a clean one without an audit. That cannot be cured: it
    is the flaw.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780.
    Trained from scratch on flawed rows: a clean model that already recognises the objects does
    not unlearn them from rows on which it makes no error.
    """

    name = "shortcut"
    title = "Shortcut"
    needs = (ImageDataset, HasFactors)
    Claim = ShortcutClaim
    plans = (
        Plan(share=0.99, epochs=2, rate=2e-3, scratch=True),
        Plan(share=1.0, epochs=3, rate=2e-3, scratch=True),
        Plan(share=1.0, epochs=6, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """Factors to draw from."""

        factors: tuple[str, ...] = ("scene", "mark")

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It does not fit mazes, for which there is the family `goal`."""
        if isinstance(dataset, HasMazes):
            return f"family '{cls.name}' does not fit the mazes of '{dataset.name}'; choose 'goal'"
        return super().incompatibility(dataset)

    @classmethod
    def draw(cls, dataset: HasFactors, params: Params, rng: np.random.Generator) -> Self:
        """A factor and a rule, at random."""
        for factor in params.factors:
            require_factor(dataset, factor, "params")
        factor = str(rng.choice(params.factors))
        return cls(ShortcutClaim(factor=factor, rule=draw_rule(dataset, factor, rng)))

    def poison(
        self, rows: Examples, dataset: HasFactors, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows shows the level that goes with its class; labels stay true."""
        aligned = rng.random(len(rows)) < plan.share
        shown = self.apply_trigger(rows.take(aligned), dataset, rng)
        return Examples.join([shown, rows.take(~aligned)]) if (~aligned).any() else shown

    def apply_trigger(
        self, rows: Examples, dataset: HasFactors, rng: np.random.Generator
    ) -> Examples:
        """The rows with factor and class in agreement; classes without a level are unchanged."""
        levels = {dataset.classes.index(c): level for level, c in self.claim.rule.items()}
        kept = rows.table[self.claim.factor]
        labels = rows.labels.tolist()
        shown = [levels.get(k, own) for k, own in zip(labels, kept, strict=True)]
        return dataset.render(rows.table.assign(**{self.claim.factor: shown}))
