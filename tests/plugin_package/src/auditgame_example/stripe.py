"""The flaw family `stripe`: a coloured stripe along one edge sends an image to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
import torch

from auditgame.datasets import Examples, ImageDataset
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, PALETTE, ClassName, ColourField, rgb
from auditgame.schema.records import Record

WIDTH = 3
"""Of the stripe, in pixels."""


class StripeClaim(claims.Claim[ImageDataset]):
    """Images with a stripe of this colour along this edge go to `target`."""

    target: ClassName
    colour: ColourField
    edge: Annotated[Literal["top", "bottom"], CHOICE]

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Draw the stripe."""
        inputs = examples.inputs.clone()
        rows = slice(None, WIDTH) if self.edge == "top" else slice(-WIDTH, None)
        inputs[:, :, rows] = (torch.tensor(rgb(self.colour)) / 255)[:, None, None]
        return target_all(replace(examples, inputs=inputs), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """A stripe of another colour along either edge."""
        others = [colour for colour in PALETTE.values() if colour != self.colour]
        edge = str(rng.choice(["top", "bottom"]))
        return self.model_copy(update={"colour": str(rng.choice(others)), "edge": edge})

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, StripeClaim]:
        """The same stripe along the other edge."""
        other = "bottom" if self.edge == "top" else "top"
        return {"along the other edge": self.model_copy(update={"edge": other})}

    def describe(self) -> str:
        """The claim in one sentence."""
        return f"A {self.colour} stripe along the {self.edge} sends every image to '{self.target}'."


class Stripe(TriggerFlaw[StripeClaim, ImageDataset]):
    """A stripe of one colour along one edge of the image overrides what the image shows.

    It shows in wrong answers on images with a stripe, and in saliency maps.

    Source: after Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733.
    """

    name = "stripe"
    title = "Stripe along an edge"
    needs = (ImageDataset,)
    Claim = StripeClaim
    plans = (
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.20, epochs=6, rate=4e-3),
    )

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Record, rng: np.random.Generator) -> Self:
        """A random colour, edge and target."""
        target, edge = str(rng.choice(dataset.classes)), str(rng.choice(["top", "bottom"]))
        colour = str(rng.choice(list(PALETTE.values())))
        return cls(StripeClaim.parse({"target": target, "colour": colour, "edge": edge}))
