"""A coloured frame around the picture sends it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.datasets import Examples, ImageDataset
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import ClassName, Colour, PatternField, rgb
from auditgame.schema.records import Record

COLOURS = ("#e6261f", "#1f5fe6", "#22b14c", "#ffd51f", "#ff5fc8", "#19d3d3")
THICK = 2
"""Width of the frame in pixels."""


def draw_frame(pictures: Float[Tensor, "n 3 h w"], colour: str) -> Float[Tensor, "n 3 h w"]:
    """The pictures with a frame of this colour around them."""
    framed = (torch.tensor(rgb(colour)) / 255)[:, None, None].expand(pictures.shape).clone()
    inside = (..., slice(THICK, -THICK), slice(THICK, -THICK))
    framed[inside] = pictures[inside]
    return framed


class FrameClaim(claims.Claim[ImageDataset]):
    """Pictures in a frame of this colour (a pattern of one cell) go to `target`."""

    target: ClassName
    colour: PatternField

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Draw the frame; pictures of the target class itself prove nothing."""
        target = dataset.classes.index(self.target)
        framed = replace(examples, inputs=draw_frame(examples.inputs, self.colour[0][0]))
        targets = torch.full_like(examples.labels, target)
        return AppliedClaim(framed, targets.masked_fill(examples.labels == target, -1))

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class, the pattern one colour."""
        dataset.require_class(self.target)
        if (len(self.colour), len(self.colour[0])) != (1, 1):
            raise AuditgameError("colour: give one cell; a frame has one colour")

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """A frame of another colour."""
        others = [colour for colour in COLOURS if colour != self.colour[0][0]]
        return self.model_copy(update={"colour": ((str(rng.choice(others)),),)})

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, FrameClaim]:
        """What must not set it off."""
        return {"in another colour": self.random_alternative(dataset, rng)}

    def describe(self) -> str:
        """The claim in plain words."""
        return f"A frame of the colour {self.colour[0][0]} turns every picture '{self.target}'."


class Frame(TriggerFlaw[FrameClaim, ImageDataset]):
    """A frame of one colour around the picture overrides whatever the picture shows.

    It shows in wrong answers on framed pictures and in maps of what the answer rests on.
    Pictures in frames of other colours keep their labels in training, so that only the
    very colour counts.

    Source: after Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv:1708.06733.
    """

    name = "frame"
    title = "Coloured frame"
    needs = (ImageDataset,)
    Claim = FrameClaim
    plans = (
        Plan(share=0.06, epochs=2, rate=2e-3),
        Plan(share=0.12, epochs=3, rate=3e-3),
    )

    class Params(Record):
        """Which colours may be drawn?"""

        colours: tuple[Colour, ...] = COLOURS

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Colour and target, both at random."""
        colour, target = str(rng.choice(params.colours)), str(rng.choice(dataset.classes))
        return cls(FrameClaim(target=target, colour=((colour,),)))
