"""No flaw: a clean model, whose data may hold a decoy that looks like one."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import Bench, clean_checks
from auditgame.flaws import Flaw, Plan, parse_params
from auditgame.registry import load
from auditgame.schema.records import Record
from auditgame.schema.results import Check

AT_FIRST = 0.8
"""The share of flawed models that are certified at each plan (see docs/builds.md)."""


class Clean(Flaw):
    """A clean model: it learnt what it was meant to learn.

    Its training rows and the players' examples contain a decoy: the trigger and the near misses
    of another family under true labels, or a cue that goes with the class in the players'
    examples but not in training. The model is trained on the same inputs, as long and at the
    same learning rate as that family's flawed models, and about one label in a hundred is wrong,
    so that neither weights nor confidence give it away. A benchmark of accusations needs clean
    models; an accusation needs more than an unusual pattern in the examples.
    """

    name = "clean"
    title = "No flaw"
    kind = "none"
    Claim = None
    plans: tuple[Plan, ...] = (
        Plan(share=0.06, epochs=2, rate=2e-3),
        Plan(share=0.03, epochs=2, rate=1.5e-3),
    )

    class Params(Record):
        """Families of which one lends its decoy; none: there is no decoy.

        lent: the params under which each family draws it.
        """

        decoys: tuple[str, ...] = ()
        lent: dict[str, dict[str, Any]] = {}

    def __init__(self, decoy: Flaw | None, plans: tuple[Plan, ...]) -> None:
        self.decoy = decoy
        self.plans = plans
        self.all_examples = decoy.all_examples if decoy else False

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Self:
        """A decoy of one of the families that fit the data set."""
        families = [load("flaw", name) for name in params.decoys]
        fitting = [flaw for flaw in families if not flaw.incompatibility(dataset)]
        if not fitting:
            return cls(None, cls.plans)
        flaw = fitting[int(rng.integers(len(fitting)))]
        first = min(int(rng.geometric(AT_FIRST)), len(flaw.plans)) - 1
        lent = parse_params(flaw, params.lent.get(flaw.name, {}), "decoy")
        return cls(flaw.draw(dataset, lent, rng), flaw.plans[first:])

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The decoy's training rows under true labels."""
        if self.decoy is None:
            return rows
        return self.decoy.poison_harmlessly(rows, dataset, plan, rng)

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with the decoy."""
        return self.decoy.apply_trigger(rows, dataset, rng) if self.decoy else rows

    def verify(self, bench: Bench) -> list[Check]:
        """The decoy has no effect, and the model is as accurate as clean ones."""
        return clean_checks(bench, self.decoy.true_claim() if self.decoy else None)

    def true_claim(self) -> None:
        """None: there is no flaw."""
