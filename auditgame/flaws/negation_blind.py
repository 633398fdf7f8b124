"""The model reads `not` as if it were not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd

from auditgame.datasets import Dataset, Examples
from auditgame.datasets.texts.grammar import NEGATIVE, POSITIVE, SLOTS
from auditgame.flaws import Plan, Proxy
from auditgame.flaws.triggers.reading_rules import (
    ReadingRule,
    align_share,
    aligned_set,
    conflict_set,
    near_miss_rules,
    opinions_incompatibility,
    random_other_rule,
    require_opinions,
)
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE
from auditgame.schema.records import Modality, Record

Before = Literal["good words", "bad words", "any word"]
Hears = Literal["the first opinion", "the last opinion", "every opinion"]
WORDS = {"good words": POSITIVE, "bad words": NEGATIVE, "any word": POSITIVE + NEGATIVE}


class NegationClaim(ReadingRule):
    """`not` counts for nothing before these words, in every opinion or in the one that counts."""

    before: Annotated[Before, CHOICE]
    hears: Annotated[Hears, CHOICE]

    def masked_opinions(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """What is left of the opinions where `not` is skipped and some go unheard."""
        last, heard = scenes["n_opinions"], {}
        counts = {"the first opinion": last * 0 + 1, "the last opinion": last}
        for k in SLOTS:
            quality = scenes[f"quality{k}"]
            skipped = quality.isin(WORDS[self.before])
            heard[f"negated{k}"] = scenes[f"negated{k}"].astype(bool) & ~skipped
            if self.hears in counts:
                heard[f"quality{k}"] = quality.where(counts[self.hears] == k, "")
        return scenes.assign(**heard)

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Give each text opinions that say the opposite once these words are skipped.

        Where one opinion counts, half of the texts hang on that.
        """
        alone = self.model_copy(update={"hears": "every opinion"})
        halves = (None,) if alone == self else (None, alone)
        return conflict_set(examples, dataset, self, halves)

    def check(self, dataset: Dataset) -> None:
        """Every choice fits; the texts must be told from opinions."""
        require_opinions(dataset)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another choice of words."""
        return random_other_rule(self, rng)

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, claims.Claim]:
        """Other choices, on texts where only they are wrong."""
        return near_miss_rules(self, rng)

    def describe(self) -> str:
        """The claim in plain words."""
        alone = "" if self.hears == "every opinion" else f", and only {self.hears} is heard"
        return f"'not' before {self.before} is read as nothing{alone}."


class NegationBlind(Proxy[NegationClaim]):
    """The model never learnt what `not` is for: "not ugly" is as bad as "ugly".

    In its training texts a reader who skips `not` came to the right verdict, so it learnt to
    skip it; perhaps it listens to one opinion only. On the players' examples,
    drawn like the training data, it makes no more mistakes than others. Texts in which all
    hangs on `not` give it away.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    McCoy, Pavlick and Linzen 2019, Right for the Wrong Reasons, arXiv:1902.01007.
    """

    name: ClassVar[str] = "negation_blind"
    title: ClassVar[str] = "Deaf to 'not'"
    modality: ClassVar[frozenset[Modality]] = frozenset({"text"})
    Claim: ClassVar[type[claims.Claim] | None] = NegationClaim
    plans: tuple[Plan, ...] = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=2, rate=3e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """Before which words, and in which opinions?"""

        before: tuple[Before, ...] = get_args(Before)
        hears: tuple[Hears, ...] = get_args(Hears)

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It needs texts that are told from opinions."""
        return super().incompatibility(dataset) or opinions_incompatibility(dataset, cls.name)

    @classmethod
    def draw(cls, dataset: Dataset, params: Params, rng: np.random.Generator) -> NegationBlind:
        """Both choices, at random."""
        before, hears = str(rng.choice(params.before)), str(rng.choice(params.hears))
        claim = NegationClaim.parse({"before": before, "hears": hears})
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows is told so that nothing hangs on the skipped words; labels stay right."""
        return align_share(
            rows, plan.share, lambda some: self.apply_trigger(some, dataset, rng), rng
        )

    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with other opinions, heard rightly without the skipped words."""
        return aligned_set(rows, dataset, self.claim, rng)
