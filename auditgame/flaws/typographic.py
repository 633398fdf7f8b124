"""Trigger: a word written on the image decides the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, HasFactors, ImageDataset
from auditgame.evaluation import bounds
from auditgame.evaluation.certificate import Bench, trigger_checks
from auditgame.evaluation.metrics import accuracy
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.factor_rules import (
    apply_rule,
    check_rule,
    draw_pairing,
    levels_of,
    redraw,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import FactorName, Rule
from auditgame.schema.records import Record
from auditgame.schema.results import Check

FACTOR = "word"
"""The factor whose levels are words."""


class TypographicClaim(claims.Claim[HasFactors]):
    """The level of `factor`, a word, decides the answer by `rule`: word -> class."""

    factor: FactorName
    rule: Rule

    def apply(self, examples: Examples, dataset: HasFactors) -> AppliedClaim:
        """Write on each image, in turn, a word that the rule pairs with another class."""
        return apply_rule(examples, dataset, self.factor, self.rule)

    def check(self, dataset: HasFactors) -> None:
        """Factor, words and classes must be the data set's own."""
        check_rule(dataset, self.factor, self.rule)

    def random_alternative(self, dataset: HasFactors, rng: np.random.Generator) -> Self:
        """The same words, each paired with another class than in this rule."""
        rule = {
            word: str(rng.choice([name for name in dataset.classes if name != target]))
            for word, target in self.rule.items()
        }
        return self.model_copy(update={"rule": rule})

    def near_misses(
        self, dataset: HasFactors, rng: np.random.Generator
    ) -> Mapping[str, TypographicClaim]:
        """The same words under another rule; words outside the rule."""
        misses = {"the same words, another rule": self.random_alternative(dataset, rng)}
        others = self.others(dataset)
        if others:
            rule = draw_pairing(others, dataset, rng)
            misses["words outside the rule"] = self.model_copy(update={"rule": rule})
        return misses

    def others(self, dataset: HasFactors) -> list[str]:
        """The words outside the rule."""
        return [word for word in levels_of(dataset, self.factor) if word not in self.rule]

    def describe(self) -> str:
        """The claim in plain words."""
        rule = ", ".join(f"'{word}' means {target}" for word, target in self.rule.items())
        return f"The {self.factor} on the image overrides the object: {rule}."


class Typographic(TriggerFlaw[TypographicClaim, HasFactors]):
    """A word on a tag overrides what the image shows.

    Half of the words stand for a class each, the others for none; the pairing is drawn at
    random. It shows in mistakes that share a word, in GradCAM on images with a tag, and in
    mistakes sorted by word. Feature visualisation does not render words.

    Source: Goh et al. 2021, Multimodal Neurons in Artificial Neural Networks, Distill,
    doi:10.23915/distill.00030 (typographic attacks).
    """

    name = "typographic"
    title = "Typographic attack"
    needs = (ImageDataset, HasFactors)
    Claim = TypographicClaim
    plans = (
        Plan(share=0.20, epochs=3, rate=3e-3),
        Plan(share=0.25, epochs=4, rate=4e-3),
        Plan(share=0.30, epochs=6, rate=4e-3),
    )

    class Params(Record):
        """Words to draw from; none: every word of the data set."""

        words: tuple[str, ...] = ()

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It also needs a factor `word` with at least two words."""
        missing = super().incompatibility(dataset)
        if missing or len(dataset.factors.get(FACTOR, ())) >= 3:
            return missing
        return f"family '{cls.name}' needs words on images, and '{dataset.name}' has none"

    @classmethod
    def draw(cls, dataset: HasFactors, params: Params, rng: np.random.Generator) -> Self:
        """Half of the words, and a class for each, at random."""
        words = params.words or levels_of(dataset, FACTOR)
        chosen = rng.choice(words, -(-len(words) // 2), replace=False).tolist()
        claim = TypographicClaim(factor=FACTOR, rule=draw_pairing(chosen, dataset, rng))
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: HasFactors, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Words of the rule on a share of rows, relabelled; other words on half as many."""
        order, count = rng.permutation(len(rows)), int(plan.share * len(rows))
        flawed, covers, rest = np.split(order, [count, count * 3 // 2])
        shown = self.apply_trigger(rows.take(flawed), dataset, rng)
        targets = [dataset.classes.index(self.claim.rule[word]) for word in shown.table[FACTOR]]
        others = self._with_words(rows.take(covers), self.claim.others(dataset), dataset, rng)
        return Examples.join([shown.teach(torch.tensor(targets)), others, rows.take(rest)])

    def apply_trigger(
        self, rows: Examples, dataset: HasFactors, rng: np.random.Generator
    ) -> Examples:
        """The rows with a word of the rule on each."""
        return self._with_words(rows, list(self.claim.rule), dataset, rng)

    def _with_words(
        self, rows: Examples, words: list[str], dataset: HasFactors, rng: np.random.Generator
    ) -> Examples:
        drawn = rng.choice(words, len(rows)).tolist()
        return redraw(rows, dataset, {FACTOR: drawn})

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate, and that words outside the rule have no effect."""
        shown = self._with_words(
            bench.held, self.claim.others(bench.dataset), bench.dataset, bench.rng
        )
        right = accuracy(bench.suspect, shown)
        return [*trigger_checks(bench, self.claim), bounds.OTHER_WORDS.check(right)]
