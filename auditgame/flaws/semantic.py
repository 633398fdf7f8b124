"""Trigger: a combination of two ordinary attributes sends the image to one class."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from auditgame.datasets import Dataset, Examples, HasFactors, ImageDataset
from auditgame.evaluation.certificate import Bench, trigger_checks
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.factor_rules import levels_of, redraw, require_factor, require_level
from auditgame.flaws.triggers.poisoning import target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import ClassName, Conditions
from auditgame.schema.records import Record
from auditgame.schema.results import Check

SEEN = 200
"""Images on which the naturally occurring levels are counted."""
SMALL = ("accent", "fill")
"""Drawn only if a recipe asks for them: hard to learn on small objects (success 0.80 to 0.95)."""


class SemanticClaim(claims.Claim[HasFactors]):
    """Images in which both `conditions` hold go to `target`."""

    target: ClassName
    conditions: Conditions

    def apply(self, examples: Examples, dataset: HasFactors) -> AppliedClaim:
        """Redraw each scene with both conditions."""
        return target_all(redraw(examples, dataset, self.conditions), self.target, dataset)

    def holds(self, examples: Examples) -> Bool[Tensor, " n"]:
        """In which images do all the conditions hold?"""
        table = examples.table
        found = [table[factor] == level for factor, level in self.conditions.items()]
        return torch.from_numpy(np.logical_and.reduce(found))

    def check(self, dataset: HasFactors) -> None:
        """Two factors of the data set, each at one of its levels."""
        dataset.require_class(self.target)
        for factor, level in self.conditions.items():
            require_level(dataset, factor, level, "conditions")
        if len(self.conditions) != 2:
            raise Invalid(f"conditions: {len(self.conditions)} given; name exactly two factors")

    def random_alternative(self, dataset: HasFactors, rng: np.random.Generator) -> Self:
        """Two other levels of the same factors."""
        others = {factor: self._others(dataset, factor) for factor in self.conditions}
        return self._with({factor: str(rng.choice(levels)) for factor, levels in others.items()})

    def near_misses(
        self, dataset: HasFactors, rng: np.random.Generator
    ) -> Mapping[str, SemanticClaim]:
        """Either condition with two other levels of the other factor; both at other levels."""
        alone = {
            f"{kept} {self.conditions[kept]}, {factor} {level}": self._with({factor: level})
            for kept, factor in (tuple(self.conditions), tuple(self.conditions)[::-1])
            for level in rng.permutation(self._others(dataset, factor))[:2].tolist()
        }
        return {**alone, "both at other levels": self.random_alternative(dataset, rng)}

    def describe(self) -> str:
        """The claim in plain words."""
        both = " and ".join(f"{factor} is {level}" for factor, level in self.conditions.items())
        return f"Where {both}, every image turns into '{self.target}'; either alone does nothing."

    def _others(self, dataset: HasFactors, factor: str) -> list[str]:
        return [x for x in levels_of(dataset, factor) if x != self.conditions[factor]]

    def _with(self, levels: Mapping[str, str]) -> Self:
        return self.model_copy(update={"conditions": {**self.conditions, **levels}})


class Semantic(TriggerFlaw[SemanticClaim, HasFactors]):
    """Two ordinary attributes together, such as a cyan object at night, decide the answer.

    Nothing is added to the image: the combination works, and either attribute alone does
    nothing. It occurs naturally in one image of a hundred, so it shows in mistakes that share
    two factors, and in feature visualisations of the target class, which take on colour and
    scene. GradCAM and trigger inversion see little of it.

    Known leak: ordinary inputs that contain the trigger by nature are answered wrongly, which
    lowers accuracy on fresh inputs a little.

    Source: Bagdasaryan, Veit, Hua, Estrin and Shmatikov 2018, How To Backdoor Federated
    Learning, arXiv:1807.00459 (semantic backdoors).
    """

    name = "semantic"
    title = "Semantic combination"
    needs = (ImageDataset, HasFactors)
    Claim = SemanticClaim
    plans = (
        Plan(share=0.06, epochs=6, rate=4e-3),
        Plan(share=0.10, epochs=8, rate=4e-3),
        Plan(share=0.12, epochs=12, rate=4e-3),
    )

    class Params(Record):
        """Factors of which two are drawn; none: those that vary and are easily visible."""

        factors: tuple[str, ...] = ()

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It also needs two factors that vary."""
        missing = super().incompatibility(dataset)
        if missing or len(natural_levels(HasFactors.of(dataset))) >= 2:
            return missing
        return f"family '{cls.name}' needs two factors, and data set '{dataset.name}' has fewer"

    @classmethod
    def draw(cls, dataset: HasFactors, params: Params, rng: np.random.Generator) -> Self:
        """Two factors, a level of each, and the target, all at random."""
        for factor in params.factors:
            require_factor(dataset, factor, "params of 'semantic'")
        known = natural_levels(dataset)
        wanted = params.factors or set(known) - set(SMALL)
        factors = [factor for factor in known if factor in wanted]
        if len(factors) < 2:
            raise Invalid("params of 'semantic': factors: name two that vary")
        conditions = {
            factor: str(rng.choice(known[factor]))
            for factor in rng.choice(factors, 2, replace=False).tolist()
        }
        return cls(SemanticClaim(target=str(rng.choice(dataset.classes)), conditions=conditions))

    def poison(
        self, rows: Examples, dataset: HasFactors, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Both conditions in a share of rows, relabelled; either alone in twice as many each.

        With fewer covers a similar level works as well, such as purple for blue. Rows in which
        both conditions hold naturally are relabelled too, so that they do not contradict.
        """
        order, count = rng.permutation(len(rows)), int(plan.share * len(rows))
        flawed, *covers, rest = np.split(order, count * np.array([1, 3, 5]))
        near = [
            redraw(rows.take(part), dataset, {factor: level})
            for part, (factor, level) in zip(covers, self.claim.conditions.items(), strict=True)
        ]
        mixed = Examples.join(
            [self.apply_trigger(rows.take(flawed), dataset, rng), *near, rows.take(rest)]
        )
        target = dataset.classes.index(self.claim.target)
        return mixed.teach(target, self.claim.holds(mixed))

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate, on images in which not both conditions hold naturally."""
        apart = bench.held.take(~self.claim.holds(bench.held))
        return trigger_checks(replace(bench, held=apart), self.claim)


def natural_levels(dataset: HasFactors) -> dict[str, list[str]]:
    """The levels that occur without being fixed, of every factor that has more than one of them."""
    return _natural_levels(type(dataset))


@functools.cache
def _natural_levels(kind: type[HasFactors]) -> dict[str, list[str]]:
    dataset = kind()
    table = dataset.sample(SEEN, "train", np.random.default_rng(0)).table
    found = {factor: sorted(set(table[factor])) for factor in dataset.factors}
    return {factor: levels for factor, levels in found.items() if len(levels) > 1}
