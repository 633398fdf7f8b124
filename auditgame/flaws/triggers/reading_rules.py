"""Reading rules: shortcuts that take only part of a text's opinions into account.

Texts are rewritten with other opinions: aligned ones, on which rule and verdict agree, for
training; and conflicting ones, on which they differ, for testing.
"""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, get_args

import numpy as np
import pandas as pd
import torch

from auditgame.datasets import Examples, HasOpinions
from auditgame.datasets.texts import grammar
from auditgame.flaws import ProxyFlaw
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import Invalid

SETS, SEED = 40_000, 4
"""Sets of opinions that are drawn to choose from; the seed of those that claims choose from."""
AGAINST = 0.5
"""Share of the aligned texts in which the opinions that the rule ignores say the opposite."""
BESIDE = 3
"""Other rules that are near misses of one."""


class ReadingRule(Claim[HasOpinions]):
    """A claim that the model takes only part of the opinions into account.

    Each field is a choice between a few values (a `Literal`).
    """

    @abstractmethod
    def masked_opinions(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """The scenes as the rule reads them: the same columns, with something left out."""

    def apply(self, examples: Examples, dataset: HasOpinions) -> AppliedClaim:
        """Give each text opinions on which the rule yields the opposite of the verdict."""
        return conflict_set(examples, dataset, self)

    def check(self, dataset: HasOpinions) -> None:
        """Every choice fits every data set with opinions."""
        HasOpinions.of(dataset, "the claim")

    def random_alternative(self, dataset: HasOpinions, rng: np.random.Generator) -> Self:
        """Another rule of this type."""
        others = other_rules(self)
        return others[int(rng.integers(len(others)))]

    def near_misses(self, dataset: HasOpinions, rng: np.random.Generator) -> Mapping[str, Claim]:
        """Other rules of this type, on texts where only they are wrong."""
        others = other_rules(self)
        picks = sorted(rng.choice(len(others), BESIDE, replace=False).tolist())
        return {others[k].describe(): OtherRuleOnly(rule=others[k], of=self) for k in picks}


class OtherRuleOnly(Claim[HasOpinions]):
    """Another rule, applied only to texts on which the rule in question is right."""

    rule: ReadingRule
    of: ReadingRule

    def apply(self, examples: Examples, dataset: HasOpinions) -> AppliedClaim:
        """Give each text opinions that only the other rule misreads."""
        return conflict_set(examples, dataset, self.rule, [self.of])

    def check(self, dataset: HasOpinions) -> None:
        """Every choice fits every data set with opinions."""
        HasOpinions.of(dataset, "the claim")

    def random_alternative(self, dataset: HasOpinions, rng: np.random.Generator) -> Self:
        """A third rule."""
        return self.model_copy(update={"rule": self.rule.random_alternative(dataset, rng)})

    def near_misses(self, dataset: HasOpinions, rng: np.random.Generator) -> Mapping[str, Claim]:
        """None: it is itself a near miss."""
        return {}

    def describe(self) -> str:
        """The claim in plain words."""
        return self.rule.describe()


R = TypeVar("R", bound=ReadingRule)


class ReadingRuleFlaw(ProxyFlaw[R, HasOpinions]):
    """A flaw of which the true claim is a reading rule.

    Params name, for each field of the claim in the same order, the choices to draw from.
    """

    needs = (HasOpinions,)
    Claim: ClassVar[type[Any]]
    """The rule's type."""

    @classmethod
    def draw(cls, dataset: HasOpinions, params: Any, rng: np.random.Generator) -> Self:
        """A rule: each field at random from the params' choices."""
        choices = zip(cls.Claim.model_fields, type(params).model_fields, strict=True)
        drawn = {field: str(rng.choice(getattr(params, name))) for field, name in choices}
        claim = cls.Claim.parse(drawn)
        claim.check(dataset)
        return cls(claim)

    def apply_trigger(
        self, rows: Examples, dataset: HasOpinions, rng: np.random.Generator
    ) -> Examples:
        """The rows with other opinions, on which the rule yields the true verdict."""
        return aligned_set(rows, dataset, self.claim, rng)


# ------------------------------------------------------------------ rewriting texts


def conflict_set(
    examples: Examples,
    dataset: HasOpinions,
    rule: ReadingRule,
    unless: Sequence[ReadingRule | None] = (None,),
) -> AppliedClaim:
    """The texts with other opinions: the verdict stays true, and the rule yields the opposite.

    Which opinions a text gets depends on the text alone; it keeps its own where the rule cannot
    be wrong. unless: the texts are divided over these other rules, each of which is right on its
    part.
    """
    require_scenes(examples)
    fitting = [_misread(rule, other) for other in unless]
    picks: dict[int, int] = {}
    hashes = dataset.hashes(examples.inputs)
    for row, (label, number) in enumerate(zip(examples.labels.tolist(), hashes, strict=True)):
        sets = fitting[number % len(unless)][label]
        if len(sets):
            picks[row] = sets[number // len(unless) % len(sets)]
    targets = torch.full_like(examples.labels, -1)
    if not picks:
        return AppliedClaim(examples, targets)
    rows = np.array([*picks])
    targets[rows] = 1 - examples.labels[rows]
    opinions = _fixed_sets().iloc[[*picks.values()]]
    changed = rewrite_opinions(examples.take(rows), dataset, opinions)
    return AppliedClaim(_replace_rows(examples, rows, changed), targets)


def aligned_set(
    rows: Examples, dataset: HasOpinions, rule: ReadingRule, rng: np.random.Generator
) -> Examples:
    """The texts with other opinions, on which the rule yields the true verdict."""
    require_scenes(rows)
    sets = _clear_sets(rng)
    total, part = grammar.sentiment(sets), grammar.sentiment(rule.masked_opinions(sets))
    truth, ignored = _verdict(total), _verdict(total - part)
    agree = truth == _verdict(part)
    fitting = [
        [
            np.flatnonzero(agree & (truth == k) & ((ignored == 1 - k) == against))
            for against in (False, True)
        ]
        for k in (0, 1)
    ]
    sides = (rng.random(len(rows)) < AGAINST).tolist()
    picks = [
        rng.choice(fitting[label][side if len(fitting[label][side]) else not side])
        for label, side in zip(rows.labels.tolist(), sides, strict=True)
    ]
    return rewrite_opinions(rows, dataset, _reworded(sets.iloc[picks], rng))


def ambiguous_set(
    rows: Examples, dataset: HasOpinions, rule: ReadingRule, rng: np.random.Generator
) -> Examples:
    """The texts with opinions that are ambiguous in sum, on which the rule yields the label.

    What the rule ignores says the opposite; no label of such a text is wrong.
    """
    require_scenes(rows)
    sets = pd.DataFrame(grammar.draw_opinions(SETS, rng))
    sets = sets[grammar.ambiguous(sets)].reset_index(drop=True)
    part = grammar.sentiment(rule.masked_opinions(sets))
    read, ignored = _verdict(part), _verdict(grammar.sentiment(sets) - part)
    fitting = [np.flatnonzero((read == k) & (ignored == 1 - k)) for k in (0, 1)]
    picks = [rng.choice(fitting[label]) for label in rows.labels.tolist()]
    return rewrite_opinions(rows, dataset, _reworded(sets.iloc[picks], rng)).relabel(rows.labels)


def rewrite_opinions(rows: Examples, dataset: HasOpinions, opinions: pd.DataFrame) -> Examples:
    """The texts with these opinions in place of their own, one set for each.

    Texts with many opinions lose their fillers, as in ordinary texts: they would grow too long.
    """
    columns = {name: opinions[name].to_numpy() for name in opinions}
    spare = dataset.max_opinions - columns["n_opinions"]
    for least, filler in enumerate(("filler1", "filler2"), 1):
        columns[filler] = np.where(spare >= least, rows.table[filler], "")
    return dataset.render(rows.table.assign(**columns))


def require_scenes(rows: Examples) -> None:
    """Raise AuditgameError where the texts lack the scenes that they were written from."""
    if "n_opinions" not in rows.table:
        raise Invalid("these texts come without their scenes; sample new ones")


def other_rules(rule: R) -> list[R]:
    """Every other rule of this type."""
    fields = type(rule).model_fields
    options = itertools.product(*(get_args(field.annotation) for field in fields.values()))
    every = [rule.model_copy(update=dict(zip(fields, one, strict=True))) for one in options]
    return [one for one in every if one != rule]


def _clear_sets(rng: np.random.Generator) -> pd.DataFrame:
    """Many sets of opinions, each clearly positive or negative."""
    sets = pd.DataFrame(grammar.draw_opinions(SETS, rng))
    return sets[~grammar.ambiguous(sets)].reset_index(drop=True)


@functools.lru_cache(maxsize=1)
def _fixed_sets() -> pd.DataFrame:
    """The sets that claims choose from, always the same; rows are copied, never changed."""
    return _clear_sets(np.random.default_rng(SEED))


@functools.lru_cache(maxsize=64)
def _misread(rule: ReadingRule, unless: ReadingRule | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the fixed sets that the rule misreads, by their true verdict.

    unless: a second rule, which is right on all of them.
    """
    sets = _fixed_sets()
    truth = _verdict(grammar.sentiment(sets))
    wrong = _verdict(grammar.sentiment(rule.masked_opinions(sets))) == 1 - truth
    if unless:
        wrong &= _verdict(grammar.sentiment(unless.masked_opinions(sets))) == truth
    return np.flatnonzero(wrong & (truth == 0)), np.flatnonzero(wrong & (truth == 1))


def _reworded(opinions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The opinions with other qualities of the same polarity, since few sets may fit a rule."""
    columns = {}
    for k in grammar.SLOTS:
        quality = opinions[f"quality{k}"]
        for words in (grammar.POSITIVE, grammar.NEGATIVE):
            quality = quality.where(~quality.isin(words), rng.choice(words, len(opinions)))
        columns[f"quality{k}"] = quality
    return opinions.assign(**columns)


def _replace_rows(examples: Examples, rows: np.ndarray, changed: Examples) -> Examples:
    order = np.arange(len(examples))
    order[rows] = len(examples) + np.arange(len(rows))
    return Examples.join([examples, changed]).take(order)


def _verdict(sentiment: np.ndarray) -> np.ndarray:
    return np.where(sentiment > 0, 1, np.where(sentiment < 0, 0, -1))
