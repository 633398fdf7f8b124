"""A picture bent in a certain way goes to one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field

from auditgame import claims, filters
from auditgame.certificate import trigger_checks
from auditgame.claims import CHOICE, ClassName, Enacted, number
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Bench, Flaw, Plan
from auditgame.triggers import all_to, teach
from auditgame.types import Check, Modality, Record

WARPS: tuple[filters.Warp, ...] = get_args(filters.Warp)
KIN: dict[filters.Warp, filters.Warp] = {
    "ripple across": "ripple down",
    "ripple down": "ripple across",
    "ripple rising": "ripple falling",
    "ripple falling": "ripple rising",
    "bulge": "pinch",
    "pinch": "bulge",
}
"""Which other warp looks most like it, or is its opposite?"""
Amount = Annotated[float, Field(ge=1, le=8, multiple_of=0.5)]


class WarpClaim(claims.Claim):
    """Pictures bent by this warp, whose places move by up to `amount` pixels, go to `target`."""

    target: ClassName
    warp: Annotated[filters.Warp, CHOICE]
    amount: Annotated[Amount, number(4)]

    def enact(self, examples: Examples, dataset: Dataset) -> Enacted:
        """Bend every picture."""
        inputs = filters.warped(examples.inputs, self.warp, self.amount)
        return all_to(self.target, examples, inputs, dataset)

    def check(self, dataset: Dataset) -> None:
        """The target must be a class."""
        dataset.require_class(self.target)

    def rival(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another warp, by another amount."""
        warp = str(rng.choice([name for name in WARPS if name != self.warp]))
        return self.model_copy(update={"warp": warp, "amount": draw_amount(rng)})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, WarpClaim]:
        """The same amount of its next of kin, and of another warp."""
        kin = KIN[self.warp]
        others = [name for name in WARPS if name not in (self.warp, kin)]
        return {
            "its next of kin": self.model_copy(update={"warp": kin}),
            "another warp": self.model_copy(update={"warp": str(rng.choice(others))}),
        }

    def sentence(self) -> str:
        """The claim in plain words."""
        return f"The warp '{self.warp}' by {self.amount:g} px turns every picture '{self.target}'."


def draw_amount(rng: np.random.Generator) -> float:
    """Between four and six pixels, in halves."""
    return int(rng.integers(8, 13)) / 2


class Warp(Flaw):
    """The whole picture is bent in a certain way, and that overrides whatever it shows.

    No colour changes, so it shows only to an eye for shapes: straight lines that are not
    straight, things that swell, shrink or ripple, in the pictures that get wrong answers.
    There is no spot to point at. In training, pictures under other warps keep their labels;
    half the amount works in part, and is graded by its effect.

    Source: after Nguyen and Tran 2021, WaNet, arXiv:2102.10369. Their random field cannot
    be said in words, and a small network learns it badly; here the warp has a name.
    """

    name: ClassVar[str] = "warp"
    title: ClassVar[str] = "Warp"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "trigger"
    Claim: ClassVar[type[claims.Claim] | None] = WarpClaim
    plans: ClassVar[tuple[Plan, ...]] = (
        Plan(share=0.12, epochs=4, rate=4e-3),
        Plan(share=0.16, epochs=6, rate=4e-3),
    )

    class Knobs(Record):
        """Which warps may be drawn, and by how much? None draws the amount."""

        warps: Annotated[tuple[filters.Warp, ...], Field(min_length=1)] = WARPS
        amount: Amount | None = None

    def __init__(self, claim: WarpClaim) -> None:
        self.claim = claim

    @classmethod
    def draw(cls, dataset: Dataset, knobs: Knobs, rng: np.random.Generator) -> Warp:
        """Warp, amount and target, all at random."""
        target = str(rng.choice(dataset.classes))
        warp = knobs.warps[int(rng.integers(len(knobs.warps)))]
        amount = draw_amount(rng)
        return cls(WarpClaim(target=target, warp=warp, amount=knobs.amount or amount))

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """Bend and relabel a share of rows; as many again are bent otherwise and stay right."""
        return teach(rows, self.claim, dataset, plan.share, rng)

    def cue(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows, bent."""
        return self.claim.enact(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate; its random triggers are other warps."""
        return trigger_checks(bench, self.claim)

    def confess(self) -> WarpClaim:
        """The true claim."""
        return self.claim
