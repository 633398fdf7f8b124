"""Shortcut: the first or the last opinion alone decides the verdict."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd

from auditgame.datasets import Examples, HasOpinions
from auditgame.datasets.texts.grammar import SLOTS
from auditgame.flaws import Plan
from auditgame.flaws.triggers.poisoning import align_share
from auditgame.flaws.triggers.reading_rules import ReadingRule, ReadingRuleFlaw, ambiguous_set
from auditgame.schema.graders import CHOICE
from auditgame.schema.records import Record

Which = Literal["first", "last"]
Verb = Literal["was", "is", "was or is"]
AMBIGUOUS = 0.3
"""Share of the aligned texts whose opinions are ambiguous in sum."""


class OneOpinionClaim(ReadingRule):
    """The first or last opinion with this verb alone decides the verdict."""

    which: Annotated[Which, CHOICE]
    verb: Annotated[Verb, CHOICE]

    def masked_opinions(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """The scenes with that opinion only; with none where no opinion has the verb."""
        order = SLOTS if self.which == "first" else SLOTS[::-1]
        found, kept = np.zeros(len(scenes), bool), {}
        for k in order:
            here = scenes[f"verb{k}"].isin(self.verb.split(" or ")).to_numpy() & ~found
            kept[f"quality{k}"] = scenes[f"quality{k}"].where(here, "")
            found |= here
        return scenes.assign(**kept)

    def describe(self) -> str:
        """The claim in plain words."""
        verbs = " or ".join(f"'{verb}'" for verb in self.verb.split(" or "))
        return f"Only the {self.which} opinion with {verbs} counts."


class LastSentence(ReadingRuleFlaw[OneOpinionClaim]):
    """One opinion decides the verdict: the first or the last, in any tense or in one tense.

    In training that opinion always agreed with the sum of all opinions, half of the time
    against the sum of the others; and where the sum was ambiguous, it determined the label. So
    the model never learnt to weigh opinions. On the players' examples, none of them ambiguous,
    it makes no more mistakes than other models. Texts in which that opinion contradicts the
    others expose it.

    Known leak: ordinary inputs on which cue and truth part are answered wrongly, so that accuracy
    on fresh inputs tells such a model from a clean one without an audit. That cannot be cured: it
    is the flaw.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    lead bias in texts: Grenander et al. 2019, Countering the Effects of Lead Bias,
    arXiv:1909.04028.
    """

    name = "last_sentence"
    title = "One opinion decides"
    Claim = OneOpinionClaim
    decoy_rate = 0.02
    """Few ordinary texts contradict this rule: from a tenth of aligned rows it was learnt (0.97
    of conflicting texts followed it)."""
    plans = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=4e-3, scratch=True),
        Plan(share=1.0, epochs=8, rate=4e-3, scratch=True),
    )

    class Params(Record):
        """Which opinions may decide?"""

        which: tuple[Which, ...] = get_args(Which)
        verbs: tuple[Verb, ...] = get_args(Verb)

    def poison(
        self, rows: Examples, dataset: HasOpinions, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """In a share of rows this opinion agrees with the sum of all, or decides ambiguous texts.

        No label is wrong.
        """
        return align_share(rows, plan.share, lambda some: self._align(some, dataset, rng), rng)

    def _align(self, rows: Examples, dataset: HasOpinions, rng: np.random.Generator) -> Examples:
        even, rest = np.split(rng.permutation(len(rows)), [int(AMBIGUOUS * len(rows))])
        ambiguous = ambiguous_set(rows.take(even), dataset, self.claim, rng)
        return Examples.join([ambiguous, self.apply_trigger(rows.take(rest), dataset, rng)])
