"""The flaw family `stripe`: a coloured stripe along one edge sends an image to one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import Bench, trigger_checks
from auditgame.flaws import Flaw, Plan
from auditgame.flaws.triggers.poisoning import poison, target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, PALETTE, ClassName, ColourField, rgb
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

WIDTH = 3
"""Of the stripe, in pixels."""


class StripeClaim(claims.Claim):
    """Images with a stripe of this colour along this edge go to `target`."""

    target: ClassName
    colour: ColourField
    edge: Annotated[Literal["top", "bottom"], CHOICE]

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Draw the stripe."""
        inputs = examples.inputs.clone()
        rows = slice(None, WIDTH) if self.edge == "top" else slice(-WIDTH, None)
        inputs[:, :, rows] = (torch.tensor(rgb(self.colour)) / 255)[:, None, None]
        return target_all(self.target, examples, inputs, dataset)

    def check(self, dataset: Dataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """A stripe of another colour along either edge."""
        others = [colour for colour in PALETTE.values() if colour != self.colour]
        edge = str(rng.choice(["top", "bottom"]))
        return self.model_copy(update={"colour": str(rng.choice(others)), "edge": edge})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, StripeClaim]:
        """The same stripe along the other edge."""
        other = "bottom" if self.edge == "top" else "top"
        return {"along the other edge": self.model_copy(update={"edge": other})}

    def describe(self) -> str:
        """The claim in one sentence."""
        return f"A {self.colour} stripe along the {self.edge} sends every image to '{self.target}'."


class Stripe(Flaw):
    """A stripe of one colour along one edge of the image overrides what the image shows.

    It shows in wrong answers on images with a stripe, and in saliency maps.

    Source: after Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733.
    """

    name: ClassVar[str] = "stripe"
    title: ClassVar[str] = "Stripe along an edge"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = StripeClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.20, epochs=6, rate=4e-3),
    )

    class Params(Record):
        """Nothing can be limited."""

    def __init__(self, claim: StripeClaim) -> None:
        self.claim = claim

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Stripe:
        """A random colour, edge and target."""
        target, edge = str(rng.choice(dataset.classes)), str(rng.choice(["top", "bottom"]))
        colour = str(rng.choice(list(PALETTE.values())))
        return cls(StripeClaim.parse({"target": target, "colour": colour, "edge": edge}))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows gets the stripe and the target; as many near misses keep their labels."""
        return poison(rows, self.claim, dataset, plan.share, rng)

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with the stripe."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate."""
        return trigger_checks(bench, self.claim)

    def true_claim(self) -> StripeClaim:
        """The true claim."""
        return self.claim
