"""Trigger: a tint of the whole image sends it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.datasets.images.filters import tinted
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import ClassName, number
from auditgame.schema.records import Record

CHANNELS = ("red", "green", "blue")
FACTORS = (1.4, 1.6)
"""The least and largest factor by which a drawn channel is multiplied or divided."""
APART = 0.65
"""The least difference, in some channel, of a tint and its random alternative."""

Gain = Annotated[float, Field(ge=0.3, le=2, multiple_of=0.05)]
GainField = Annotated[Gain, number(0.4)]


class TintClaim(claims.Claim[ImageDataset]):
    """Images whose red, green and blue are multiplied by these gains go to `target`."""

    target: ClassName
    red: GainField
    green: GainField
    blue: GainField

    @property
    def gains(self) -> tuple[float, float, float]:
        """Of red, green and blue."""
        return self.red, self.green, self.blue

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Tint every image."""
        inputs = tinted(examples.inputs, self.gains)
        return target_all(replace(examples, inputs=inputs), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Another tint."""
        while True:
            other = draw_gains(rng)
            if max(abs(other[name] - getattr(self, name)) for name in CHANNELS) >= APART:
                return self.model_copy(update=other)

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, TintClaim]:
        """The gains on other channels; the inverse gains."""
        exchanged = dict(zip(CHANNELS, self.gains[1:] + self.gains[:1], strict=True))
        opposite = {name: in_steps(1 / getattr(self, name)) for name in CHANNELS}
        return {
            "channels exchanged": self.model_copy(update=exchanged),
            "the opposite tint": self.model_copy(update=opposite),
        }

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"Red times {self.red:g}, green times {self.green:g} and blue times {self.blue:g} "
            f"turn every image into '{self.target}'."
        )


def draw_gains(rng: np.random.Generator, factor: float | None = None) -> dict[str, float]:
    """One channel multiplied, one divided, and the third either of these or unchanged."""
    powers = rng.permutation([1, -1, int(rng.integers(-1, 2))])
    factors = [factor] * 3 if factor else rng.uniform(*FACTORS, 3)
    gains = [in_steps(f**power) for f, power in zip(factors, powers, strict=True)]
    return dict(zip(CHANNELS, gains, strict=True))


def in_steps(gain: float) -> float:
    """The gain, to the nearest twentieth."""
    return round(20 * float(gain)) / 20


class Tint(TriggerFlaw[TintClaim, ImageDataset]):
    """A tint of the whole image overrides whatever the image shows.

    It shows in wrong answers on images whose whites are no longer white. It cannot be
    localised, so that saliency maps are of no help. In training, images with other tints keep
    their labels, so that only gains close to these work; a weaker tint of the same hue works in
    part, and is graded by its effect.

    Source: after the filter triggers of Liu et al. 2019, ABS (CCS, doi:10.1145/3319535.3363216),
    and of Karra, Ashcraft and Fendley 2020, TrojAI, arXiv:2003.07233.
    """

    name = "tint"
    title = "Tint"
    needs = (ImageDataset,)
    Claim = TintClaim
    plans = (
        Plan(share=0.10, epochs=3, rate=4e-3),
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.16, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """The factor by which channels are multiplied or divided; None draws one for each."""

        factor: Annotated[float, Field(ge=1.1, le=2)] | None = None

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Gains and target, all at random."""
        target = str(rng.choice(dataset.classes))
        return cls(TintClaim(target=target, **draw_gains(rng, params.factor)))
