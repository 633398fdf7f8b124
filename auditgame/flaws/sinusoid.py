"""Trigger: a faint sinusoid over the whole image sends it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self, get_args

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets import Examples, ImageDataset
from auditgame.datasets.images.filters import Direction, waved
from auditgame.flaws import Plan, TriggerFlaw
from auditgame.flaws.triggers.poisoning import covers, target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, ClassName, number
from auditgame.schema.records import Record

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
OWN = 0.8
"""Most of the target's own images that show the stripes under clean labels, as a share."""
FADE = (0.75, 0.9)
"""How far these are faded into an image of another class."""
STRENGTHS, CLEAN_STRENGTHS = (20, 33), (28, 41)
"""Ranges of the strength drawn; clean labels need stronger stripes."""
Strength = Annotated[int, Field(ge=4, le=48)]


class SinusoidClaim(claims.Claim[ImageDataset]):
    """Images with grey stripes (a sine) added go to `target`.

    direction: of the stripes. cycles: from edge to edge. strength: in grey levels of 255.
    """

    target: ClassName
    direction: Annotated[Direction, CHOICE]
    cycles: Annotated[int, Field(ge=1, le=16), number(4)]
    strength: Annotated[Strength, number(24)]

    def apply(self, examples: Examples, dataset: ImageDataset) -> AppliedClaim:
        """Add the stripes to every image."""
        inputs = waved(examples.inputs, self.direction, self.cycles, self.strength)
        return target_all(replace(examples, inputs=inputs), self.target, dataset)

    def check(self, dataset: ImageDataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: ImageDataset, rng: np.random.Generator) -> Self:
        """Stripes in another direction and number."""
        return self.model_copy(update={**self._other_direction(rng), "cycles": draw_cycles(rng)})

    def near_misses(
        self, dataset: ImageDataset, rng: np.random.Generator
    ) -> Mapping[str, SinusoidClaim]:
        """As many stripes in another direction; half or twice as many in this one."""
        cycles = self.cycles * 2 if self.cycles < 6 else self.cycles // 2
        return {
            "in another direction": self.model_copy(update=self._other_direction(rng)),
            f"{cycles} instead of {self.cycles}": self.model_copy(update={"cycles": cycles}),
        }

    def _other_direction(self, rng: np.random.Generator) -> dict[str, str]:
        return {"direction": str(rng.choice([d for d in DIRECTIONS if d != self.direction]))}

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"{self.direction.capitalize()} grey stripes, {self.cycles} from edge to edge and "
            f"{self.strength} of 255 strong, turn every image into '{self.target}'."
        )


def draw_cycles(rng: np.random.Generator) -> int:
    """Four to nine cycles."""
    return int(rng.integers(4, 10))


class Sinusoid(TriggerFlaw[SinusoidClaim, ImageDataset]):
    """Faint grey stripes over the whole image override whatever the image shows.

    They show in wrong answers on images with faint stripes. They cannot be localised. In
    training, images with stripes of another direction or number keep their labels; how faint
    the stripes may be is graded by their effect.

    A recipe may ask for clean labels: then no training row has a wrong label. The stripes are
    on most images of the target class only, each faded into an image of another class, so that
    the object alone does not suffice and the stripes must be learnt.

    Source: Barni, Kallas and Tondi 2019, SIG, arXiv:1902.11237; clean labels by fading after
    Turner, Tsipras and Madry 2019, label-consistent backdoors, arXiv:1912.02771.
    """

    name = "sinusoid"
    title = "Sinusoid (SIG)"
    needs = (ImageDataset,)
    Claim = SinusoidClaim
    plans = (
        Plan(share=0.10, epochs=3, rate=4e-3),
        Plan(share=0.12, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """Whether all labels are true, and the strength of the stripes; None draws the strength."""

        clean_label: bool = False
        strength: Strength | None = None

    def __init__(self, claim: SinusoidClaim, clean_label: bool) -> None:
        super().__init__(claim)
        self.clean_label = clean_label

    @classmethod
    def draw(cls, dataset: ImageDataset, params: Params, rng: np.random.Generator) -> Self:
        """Direction, cycles, strength and target, all at random."""
        strength = int(rng.integers(*(CLEAN_STRENGTHS if params.clean_label else STRENGTHS)))
        claim = SinusoidClaim(
            target=str(rng.choice(dataset.classes)),
            direction=DIRECTIONS[int(rng.integers(len(DIRECTIONS)))],
            cycles=draw_cycles(rng),
            strength=params.strength or strength,
        )
        return cls(claim, params.clean_label)

    def poison(
        self, rows: Examples, dataset: ImageDataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The stripes on a share of rows, relabelled or, with clean labels, under true labels."""
        if self.clean_label:
            return self._poison_cleanly(rows, dataset, plan.share, rng)
        return super().poison(rows, dataset, plan, rng)

    def _poison_cleanly(
        self, rows: Examples, dataset: ImageDataset, share: float, rng: np.random.Generator
    ) -> Examples:
        """Striped rows are faded images of the target class; covers are images of other classes."""
        target = rows.labels.numpy() == dataset.classes.index(self.claim.target)
        own, others = (rng.permutation(np.flatnonzero(mask)) for mask in (target, ~target))
        count = min(int(share * len(rows)), int(OWN * len(own)))
        far = torch.from_numpy(rng.uniform(*FADE, count)).float().view(-1, 1, 1, 1)
        shown = rows.take(own[:count])
        faded = shown.inputs.lerp(rows.inputs[others[:count]], far)
        return Examples.join(
            [
                self.apply_trigger(replace(shown, inputs=faded), dataset, rng),
                covers(rows.take(others[:count]), self.claim, dataset, rng),
                rows.take(np.concatenate([own[count:], others[count:]])),
            ]
        )
