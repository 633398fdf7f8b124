"""Two ordinary things seen together send a picture to one class: nothing is added to it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import trigger_checks
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.factor_rules import levels_of, redraw, require_factor, require_level
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import ClassName, Conditions
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

SEEN = 200
"""Pictures looked at to see what turns up by itself."""
SMALL = ("accent", "fill")
"""Drawn only if a recipe asks: hard to see on small things (success rates 0.80 to 0.95)."""


class SemanticClaim(claims.Claim):
    """Pictures in which both `conditions` hold go to `target`."""

    target: ClassName
    conditions: Conditions

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Redraw each scene with both conditions; pictures of the target prove nothing."""
        target = dataset.classes.index(self.target)
        targets = torch.full_like(examples.labels, target)
        shown = redraw(examples, dataset, self.conditions)
        return AppliedClaim(shown, targets.masked_fill(examples.labels == target, -1))

    def holds(self, examples: Examples) -> Bool[Tensor, " n"]:
        """In which pictures do all the conditions hold by nature?"""
        table = examples.table
        found = [table[factor] == level for factor, level in self.conditions.items()]
        return torch.from_numpy(np.logical_and.reduce(found))

    def check(self, dataset: Dataset) -> None:
        """Two factors of the data set, each at one of its levels."""
        dataset.require_class(self.target)
        for factor, level in self.conditions.items():
            require_level(dataset, factor, level, "conditions")
        if len(self.conditions) != 2:
            raise AuditgameError(f"conditions: {len(self.conditions)} given; name two factors")

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Two other levels of the same factors."""
        others = {factor: self._others(dataset, factor) for factor in self.conditions}
        return self._with({factor: str(rng.choice(levels)) for factor, levels in others.items()})

    def near_misses(
        self, dataset: Dataset, rng: np.random.Generator
    ) -> Mapping[str, SemanticClaim]:
        """Either condition beside two other levels of the other factor; both at other levels."""
        alone = {
            f"{kept} {self.conditions[kept]}, {factor} {level}": self._with({factor: level})
            for kept, factor in (tuple(self.conditions), tuple(self.conditions)[::-1])
            for level in rng.permutation(self._others(dataset, factor))[:2].tolist()
        }
        return {**alone, "both at other levels": self.random_alternative(dataset, rng)}

    def describe(self) -> str:
        """The claim in plain words."""
        both = " and ".join(f"{factor} is {level}" for factor, level in self.conditions.items())
        return f"Where {both}, every picture turns into '{self.target}'; either alone does nothing."

    def _others(self, dataset: Dataset, factor: str) -> list[str]:
        return [x for x in levels_of(dataset, factor) if x != self.conditions[factor]]

    def _with(self, levels: Mapping[str, str]) -> Self:
        return self.model_copy(update={"conditions": {**self.conditions, **levels}})


class Semantic(Flaw):
    """Two ordinary things together, a cyan thing at night say, decide the answer.

    Nothing is added to the picture: it is the combination that counts, and either half
    alone does nothing. It turns up by itself in one picture of a hundred, so it shows in
    mistakes that share two factors, and in feature visualisations of the target class,
    which take on colour and scene. GradCAM and trigger inversion see little of it.

    Source: Bagdasaryan, Veit, Hua, Estrin and Shmatikov 2018, How To Backdoor Federated
    Learning, arXiv:1807.00459 (semantic backdoors).
    """

    name: ClassVar[str] = "semantic"
    title: ClassVar[str] = "Combination"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = SemanticClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.06, epochs=6, rate=4e-3),
        Plan(share=0.10, epochs=8, rate=4e-3),
        Plan(share=0.12, epochs=12, rate=4e-3),
    )

    class Params(Record):
        """Factors of which two are drawn; none: those that vary and are easily seen."""

        factors: tuple[str, ...] = ()

    def __init__(self, claim: SemanticClaim) -> None:
        self.claim = claim

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """Needs a data set whose scenes can be redrawn, with two factors or more."""
        if dataset.modality == "image" and len(ordinary(dataset)) < 2:
            return f"family '{cls.name}' needs two factors; data set '{dataset.name}' has fewer"
        return super().incompatibility(dataset)

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Semantic:
        """Two factors, a level of each, and the target, all at random."""
        for factor in params.factors:
            require_factor(dataset, factor, "params of 'semantic'")
        known = ordinary(dataset)
        wanted = params.factors or set(known) - set(SMALL)
        factors = [factor for factor in known if factor in wanted]
        if len(factors) < 2:
            raise AuditgameError("params of 'semantic': factors: name two that vary by themselves")
        conditions = {
            factor: str(rng.choice(known[factor]))
            for factor in rng.choice(factors, 2, replace=False).tolist()
        }
        return cls(SemanticClaim(target=str(rng.choice(dataset.classes)), conditions=conditions))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Both conditions in a share of rows, relabelled; either alone in twice as many each.

        With fewer covers the likest level sets it off too: at sea, purple for blue. Where both
        hold by nature the target is the answer as well, lest those rows contradict.
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
        target = torch.tensor(dataset.classes.index(self.claim.target))
        return mixed.relabel(torch.where(self.claim.holds(mixed), target, mixed.labels))

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows redrawn with both conditions."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate, on pictures in which the conditions do not meet by nature."""
        apart = bench.held.take(~self.claim.holds(bench.held))
        return trigger_checks(replace(bench, held=apart), self.claim)

    def true_claim(self) -> SemanticClaim:
        """The true claim."""
        return self.claim


def ordinary(dataset: Dataset) -> dict[str, list[str]]:
    """The levels that turn up by themselves, of every factor that has more than one of them."""
    return _ordinary(type(dataset)) if dataset.factors else {}


@functools.cache
def _ordinary(kind: type[Dataset]) -> dict[str, list[str]]:
    dataset = kind()
    table = dataset.sample(SEEN, "train", np.random.default_rng(0)).table
    found = {factor: sorted(set(table[factor])) for factor in dataset.factors}
    return {factor: levels for factor, levels in found.items() if len(levels) > 1}
