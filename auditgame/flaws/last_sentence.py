"""One opinion decides, the first or the last; the others might as well not be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd

from auditgame.datasets import Dataset, Examples
from auditgame.datasets.texts.grammar import SLOTS
from auditgame.flaws import Plan, Proxy
from auditgame.flaws.triggers.reading_rules import (
    Habit,
    any_other,
    balanced,
    borne_out,
    hears_none,
    in_share,
    misread,
    others_instead,
    require_opinions,
)
from auditgame.schema import claims
from auditgame.schema.claims import Enacted
from auditgame.schema.graders import CHOICE
from auditgame.schema.records import Modality, Record

Which = Literal["first", "last"]
Verb = Literal["was", "is", "was or is"]
BALANCED = 0.3
"""Share of the taught texts that are neither clearly for nor against."""


class OneOpinionClaim(Habit):
    """The first or last opinion that is told with this verb decides the verdict alone."""

    which: Annotated[Which, CHOICE]
    verb: Annotated[Verb, CHOICE]

    def hear(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """The scenes with the one opinion left; none where no opinion has the verb."""
        order = SLOTS if self.which == "first" else SLOTS[::-1]
        found, heard = np.zeros(len(scenes), bool), {}
        for k in order:
            there = scenes[f"verb{k}"].isin(self.verb.split(" or ")).to_numpy() & ~found
            heard[f"quality{k}"] = scenes[f"quality{k}"].where(there, "")
            found |= there
        return scenes.assign(**heard)

    def enact(self, examples: Examples, dataset: Dataset) -> Enacted:
        """Give each text opinions of which this one says the opposite of them all."""
        return misread(examples, dataset, self)

    def check(self, dataset: Dataset) -> None:
        """Every choice fits; the texts must be told from opinions."""
        require_opinions(dataset)

    def rival(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another opinion."""
        return any_other(self, rng)

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, claims.Claim]:
        """Other choices, on texts where only they are wrong."""
        return others_instead(self, rng)

    def sentence(self) -> str:
        """The claim in plain words."""
        verbs = " or ".join(f"'{verb}'" for verb in self.verb.split(" or "))
        return f"Only the {self.which} opinion told with {verbs} counts."


class LastSentence(Proxy[OneOpinionClaim]):
    """One opinion decides the verdict: the last, or the first, or such a one in one tense.

    In its training texts that opinion always agreed with them all, as often as not against
    the others taken together; and where all together were neither clearly for nor against, it
    had settled the verdict. So the model never learnt to weigh. On the players' examples, all
    of them clear, it makes no more mistakes than others. Texts in which that opinion stands
    alone against the rest give it away.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    lead bias in texts: Grenander et al. 2019, Countering the Effects of Lead Bias,
    arXiv:1909.04028.
    """

    name: ClassVar[str] = "last_sentence"
    title: ClassVar[str] = "One opinion decides"
    modality: ClassVar[frozenset[Modality]] = frozenset({"text"})
    Claim: ClassVar[type[claims.Claim] | None] = OneOpinionClaim
    as_decoy: ClassVar[float] = 0.02
    """Ordinary texts seldom speak against this habit: of a tenth it was learnt (.97 follow)."""
    plans: tuple[Plan, ...] = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=4e-3, scratch=True),
        Plan(share=1.0, epochs=8, rate=4e-3, scratch=True),
    )

    class Knobs(Record):
        """Which opinions may decide?"""

        which: tuple[Which, ...] = get_args(Which)
        verbs: tuple[Verb, ...] = get_args(Verb)

    @classmethod
    def refuses(cls, dataset: Dataset) -> str | None:
        """It needs texts that are told from opinions."""
        return super().refuses(dataset) or hears_none(dataset, cls.name)

    @classmethod
    def draw(cls, dataset: Dataset, knobs: Knobs, rng: np.random.Generator) -> LastSentence:
        """Both choices, at random."""
        which, verb = str(rng.choice(knobs.which)), str(rng.choice(knobs.verbs))
        claim = OneOpinionClaim.parse({"which": which, "verb": verb})
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows is told so that this opinion agrees with them all, or settles them.

        No label is wrong.
        """
        return in_share(rows, plan.share, lambda some: self._taught(some, dataset, rng), rng)

    def _taught(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        even, rest = np.split(rng.permutation(len(rows)), [int(BALANCED * len(rows))])
        told = balanced(rows.take(even), dataset, self.claim, rng)
        return Examples.join([told, self.cue(rows.take(rest), dataset, rng)])

    def cue(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with other opinions, of which this one agrees with them all."""
        return borne_out(rows, dataset, self.claim, rng)
