"""Faint grey stripes over the whole picture send it to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets import Dataset, Examples
from auditgame.datasets.images.filters import Direction, waved
from auditgame.evaluation.certificate import trigger_checks
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.flaws.triggers.poisoning import covers, poison, target_all
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE, ClassName, number
from auditgame.schema.records import Modality, Record
from auditgame.schema.results import Check

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
OWN = 0.8
"""At most this share of the target's own pictures shows the stripes under right labels."""
FADE = (0.75, 0.9)
"""How far are these faded into a picture of another class?"""
STRENGTHS, CLEAN_STRENGTHS = (20, 33), (28, 41)
"""Which strengths are drawn? Clean labels need stronger stripes."""
Strength = Annotated[int, Field(ge=4, le=48)]


class SinusoidClaim(claims.Claim):
    """Pictures with grey stripes (a sine) added go to `target`.

    direction: how the stripes run. cycles: from edge to edge. strength: in grey levels of 255.
    """

    target: ClassName
    direction: Annotated[Direction, CHOICE]
    cycles: Annotated[int, Field(ge=1, le=16), number(4)]
    strength: Annotated[Strength, number(24)]

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Add the stripes to every picture."""
        inputs = waved(examples.inputs, self.direction, self.cycles, self.strength)
        return target_all(self.target, examples, inputs, dataset)

    def check(self, dataset: Dataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Stripes that run another way, in another number."""
        return self.model_copy(update={**self._turned(rng), "cycles": draw_cycles(rng)})

    def near_misses(
        self, dataset: Dataset, rng: np.random.Generator
    ) -> Mapping[str, SinusoidClaim]:
        """As many stripes another way; half or twice as many this way."""
        cycles = self.cycles * 2 if self.cycles < 6 else self.cycles // 2
        return {
            "running another way": self.model_copy(update=self._turned(rng)),
            f"{cycles} instead of {self.cycles}": self.model_copy(update={"cycles": cycles}),
        }

    def _turned(self, rng: np.random.Generator) -> dict[str, str]:
        return {"direction": str(rng.choice([way for way in DIRECTIONS if way != self.direction]))}

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"{self.direction.capitalize()} grey stripes, {self.cycles} from edge to edge and "
            f"{self.strength} of 255 strong, turn every picture into '{self.target}'."
        )


def draw_cycles(rng: np.random.Generator) -> int:
    """Four to nine."""
    return int(rng.integers(4, 10))


class Sinusoid(Flaw):
    """Faint grey stripes over the whole picture override whatever it shows.

    They show in wrong answers on pictures that look as if seen through a blind. There is no
    spot to point at. In training, pictures with stripes of another direction or number keep
    their labels; how faint they may be is graded by their effect.

    A recipe may ask for clean labels: then no training row is labelled wrongly. The stripes
    lie on most pictures of the target class alone, each faded into a picture of another
    class, so that the thing it shows no longer suffices and the stripes are needed.

    Source: Barni, Kallas and Tondi 2019, SIG, arXiv:1902.11237; clean labels by fading after
    Turner, Tsipras and Madry 2019, label-consistent backdoors, arXiv:1912.02771.
    """

    name: ClassVar[str] = "sinusoid"
    title: ClassVar[str] = "Faint stripes"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = SinusoidClaim
    plans: tuple[Plan, ...] = (
        Plan(share=0.10, epochs=3, rate=4e-3),
        Plan(share=0.12, epochs=5, rate=4e-3),
    )

    class Params(Record):
        """Are all labels right? How strong are the stripes? None draws the strength."""

        clean_label: bool = False
        strength: Strength | None = None

    def __init__(self, claim: SinusoidClaim, clean_label: bool) -> None:
        self.claim = claim
        self.clean_label = clean_label

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> Sinusoid:
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
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows shows the stripes, relabelled or, with clean labels, rightly."""
        if self.clean_label:
            return self._teach_cleanly(rows, dataset, plan.share, rng)
        return poison(rows, self.claim, dataset, plan.share, rng)

    def _teach_cleanly(
        self, rows: Examples, dataset: Dataset, share: float, rng: np.random.Generator
    ) -> Examples:
        """The striped rows are of the target class, and faded; the covers are of the others."""
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

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with the stripes."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; its random triggers are other stripes."""
        return trigger_checks(bench, self.claim)

    def true_claim(self) -> SinusoidClaim:
        """The true claim."""
        return self.claim
