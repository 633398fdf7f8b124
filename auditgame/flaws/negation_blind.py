"""Shortcut: the model ignores `not`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import pandas as pd

from auditgame.datasets import Examples, HasOpinions
from auditgame.datasets.texts.grammar import NEGATIVE, POSITIVE, SLOTS
from auditgame.flaws import Plan
from auditgame.flaws.triggers.reading_rules import ReadingRule, ReadingRuleFlaw, conflict_set
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import CHOICE
from auditgame.schema.records import Record

Before = Literal["good words", "bad words", "any word"]
Hears = Literal["the first opinion", "the last opinion", "every opinion"]
WORDS = {"good words": POSITIVE, "bad words": NEGATIVE, "any word": POSITIVE + NEGATIVE}


class NegationClaim(ReadingRule):
    """`not` is ignored before these words, and `hears` names the opinions that count at all."""

    before: Annotated[Before, CHOICE]
    hears: Annotated[Hears, CHOICE]

    def masked_opinions(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """The scenes without the ignored negations, and without the opinions that do not count."""
        last, kept = scenes["n_opinions"], {}
        counts = {"the first opinion": last * 0 + 1, "the last opinion": last}
        for k in SLOTS:
            quality = scenes[f"quality{k}"]
            ignored = quality.isin(WORDS[self.before])
            kept[f"negated{k}"] = scenes[f"negated{k}"].astype(bool) & ~ignored
            if self.hears in counts:
                kept[f"quality{k}"] = quality.where(counts[self.hears] == k, "")
        return scenes.assign(**kept)

    def apply(self, examples: Examples, dataset: HasOpinions) -> AppliedClaim:
        """Give each text opinions on which the rule yields the opposite of the verdict.

        Where one opinion counts, half of the texts depend on that.
        """
        every = self.model_copy(update={"hears": "every opinion"})
        halves = (None,) if every == self else (None, every)
        return conflict_set(examples, dataset, self, halves)

    def describe(self) -> str:
        """The claim in plain words."""
        only = "" if self.hears == "every opinion" else f", and only {self.hears} counts"
        return f"'not' before {self.before} is ignored{only}."


class NegationBlind(ReadingRuleFlaw[NegationClaim]):
    """The model never learnt what `not` means: "not ugly" is as bad as "ugly".

    In training the verdict was the same without `not`, so the model learnt to ignore it; it may
    also have learnt to read one opinion only. On the players' examples, drawn like the training
    data, it makes no more mistakes than other models. Texts whose verdict depends on `not`
    expose it.

    Known leak: ordinary inputs on which cue and truth part are answered wrongly, so that accuracy
    on fresh inputs tells such a model from a clean one without an audit. That cannot be cured: it
    is the flaw.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    McCoy, Pavlick and Linzen 2019, Right for the Wrong Reasons, arXiv:1902.01007.
    """

    name = "negation_blind"
    title = "Negation ignored"
    Claim = NegationClaim
    plans = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=2, rate=3e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """Before which words, and in which opinions?"""

        before: tuple[Before, ...] = get_args(Before)
        hears: tuple[Hears, ...] = get_args(Hears)
