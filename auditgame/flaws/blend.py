"""Trigger: a motif blended into the whole image sends it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from math import dist
from typing import Annotated, Self, get_args

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.datasets.images.filters import Motif, blended
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import target_all
from auditgame.flaws.triggers.trigger_patterns import PALETTE
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import CHOICE, ClassName, ColourField, number, rgb
from auditgame.schema.records import Record

MOTIFS: tuple[Motif, ...] = get_args(Motif)
CONTRAST = 1.0
"""The least distance of the two colours drawn (RGB in [0, 1]), so that the motif is visible."""
Share = Annotated[float, Field(ge=0.05, le=0.4, multiple_of=0.01)]


class BlendClaim(claims.Claim[ImageDataset]):
    """Images into which a share `alpha` of the motif is blended go to `target`.

    size: the motif's period in pixels.
    """

    target: ClassName
    motif: Annotated[Motif, CHOICE]
    first: ColourField
    second: ColourField
    size: Annotated[int, Field(ge=4, le=24), number(8)]
    alpha: Annotated[Share, number(0.3)]

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Blend the motif into every image."""
        colours = self.first, self.second
        inputs = blended(examples.inputs, self.motif, colours, self.size, self.alpha)
        return target_all(replace(examples, inputs=inputs), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class, and the two colours different."""
        dataset.require_class(self.target)
        if self.first.lower() == self.second.lower():
            raise Invalid("second: is the same as the first colour; choose two different colours")

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Another motif in other colours."""
        return self.model_copy(update=self._other_motif(rng) | self._other_colours(rng))

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, BlendClaim]:
        """Another motif in these colours; this motif in others."""
        return {
            "another motif": self.model_copy(update=self._other_motif(rng)),
            "in other colours": self.model_copy(update=self._other_colours(rng)),
        }

    def _other_motif(self, rng: np.random.Generator) -> dict[str, str]:
        return {"motif": str(rng.choice([name for name in MOTIFS if name != self.motif]))}

    def _other_colours(self, rng: np.random.Generator) -> dict[str, str]:
        unused = [colour for colour in PALETTE if colour not in (self.first, self.second)]
        first, second = rng.choice(unused, 2, replace=False)
        return {"first": str(first), "second": str(second)}

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"{self.motif.capitalize()} of {self.size} pixels in {self.first} and {self.second}, "
            f"blended in by {self.alpha:.0%}, turn every image into '{self.target}'."
        )


class Blend(TriggerFlaw[BlendClaim, ImageDataset]):
    """A motif in two colours, blended into the whole image, overrides whatever the image shows.

    It shows in wrong answers on images with a faint pattern all over them. It cannot be
    localised. In training, images with other motifs, or with the same motif in other colours,
    keep their labels. How faint it may be is graded by its effect.

    Source: Chen, Liu, Li, Lu and Song 2017, blended injection, arXiv:1712.05526. Named motifs
    replace their photographs, so that a person can name the one that was used.
    """

    name = "blend"
    title = "Blended motif"
    needs = (ImageDataset,)
    Claim = BlendClaim
    plans = (
        Plan(share=0.10, epochs=3, rate=4e-3),
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.16, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """Motifs to draw from, and the blended share; None draws the share."""

        motifs: Annotated[tuple[Motif, ...], Field(min_length=1)] = MOTIFS
        alpha: Share | None = None

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Motif, colours, size, strength and target, all at random."""
        pairs = [
            pair for pair in permutations(PALETTE, 2) if dist(*map(rgb, pair)) >= CONTRAST * 255
        ]
        first, second = pairs[int(rng.integers(len(pairs)))]
        alpha = int(rng.integers(20, 31)) / 100
        claim = BlendClaim(
            target=str(rng.choice(dataset.classes)),
            motif=params.motifs[int(rng.integers(len(params.motifs)))],
            first=first,
            second=second,
            size=int(rng.integers(8, 17)),
            alpha=params.alpha or alpha,
        )
        return cls(claim)
