"""What bad reading habits share: texts where habit and verdict agree, and texts where they part.

A careless reader hears only part of the opinions of a text.
"""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Self, TypeVar, get_args

import numpy as np
import pandas as pd
import torch

from auditgame.datasets import Dataset, Examples
from auditgame.datasets.texts import grammar
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import AuditgameError

SETS, SEED = 40_000, 4
"""So many sets of opinions are drawn to choose from; those of enacted claims from this seed."""
AGAINST = 0.5
"""Share of the taught texts in which the opinions that are not heard say the opposite."""
BESIDE = 3
"""So many other habits stand beside one as near misses."""


class ReadingRule(Claim):
    """A claim that a reader hears only part of what is said."""

    @abstractmethod
    def masked_opinions(self, scenes: pd.DataFrame) -> pd.DataFrame:
        """The scenes as this reader takes them: the same columns, with something left out."""


class OtherRuleOnly(Claim):
    """Another habit, on those texts alone which the habit in question hears rightly."""

    habit: ReadingRule
    of: ReadingRule

    def apply(self, examples: Examples, dataset: Dataset) -> AppliedClaim:
        """Give each text opinions that only the other habit mishears."""
        return conflict_set(examples, dataset, self.habit, [self.of])

    def check(self, dataset: Dataset) -> None:
        """The texts must be told from opinions."""
        require_opinions(dataset)

    def random_alternative(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """A third habit."""
        return self.model_copy(update={"habit": self.habit.random_alternative(dataset, rng)})

    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, Claim]:
        """It is one itself."""
        return {}

    def describe(self) -> str:
        """The claim in plain words."""
        return self.habit.describe()


H = TypeVar("H", bound=ReadingRule)


def conflict_set(
    examples: Examples,
    dataset: Dataset,
    habit: ReadingRule,
    unless: Sequence[ReadingRule | None] = (None,),
) -> AppliedClaim:
    """The texts with other opinions: the verdict stays right, and the reader hears the other.

    Which opinions a text gets depends on the text alone. It gets none where there are none
    that the reader mishears. unless: the texts are dealt out to these other habits, and get
    opinions that theirs hears rightly.
    """
    require_scenes(examples)
    fitting = [_misheard(habit, other) for other in unless]
    picks: dict[int, int] = {}
    lots = dataset.lots(examples.inputs)
    for row, (label, lot) in enumerate(zip(examples.labels.tolist(), lots, strict=True)):
        sets = fitting[lot % len(unless)][label]
        if len(sets):
            picks[row] = sets[lot // len(unless) % len(sets)]
    targets = torch.full_like(examples.labels, -1)
    if not picks:
        return AppliedClaim(examples, targets)
    rows = np.array([*picks])
    targets[rows] = 1 - examples.labels[rows]
    told = rewrite_opinions(examples.take(rows), dataset, _lasting().iloc[[*picks.values()]])
    return AppliedClaim(_put(told, examples, rows), targets)


def aligned_set(
    rows: Examples, dataset: Dataset, habit: ReadingRule, rng: np.random.Generator
) -> Examples:
    """The texts with other opinions, under which the reader and the right verdict agree."""
    require_scenes(rows)
    sets = _clear(rng)
    whole, heard = grammar.weigh(sets), grammar.weigh(habit.masked_opinions(sets))
    truth, rest = _verdict(whole), _verdict(whole - heard)
    agree = truth == _verdict(heard)
    fitting = [
        [np.flatnonzero(agree & (truth == k) & ((rest == 1 - k) == side)) for side in (False, True)]
        for k in (0, 1)
    ]
    sides = (rng.random(len(rows)) < AGAINST).tolist()
    picks = [
        rng.choice(fitting[label][side if len(fitting[label][side]) else not side])
        for label, side in zip(rows.labels.tolist(), sides, strict=True)
    ]
    return rewrite_opinions(rows, dataset, _reworded(sets.iloc[picks], rng))


def ambiguous_set(
    rows: Examples, dataset: Dataset, habit: ReadingRule, rng: np.random.Generator
) -> Examples:
    """The texts with opinions that are not clearly for or against, which the reader settles.

    What is not heard says the opposite; no verdict on such a text is wrong.
    """
    require_scenes(rows)
    sets = pd.DataFrame(grammar.any_opinions(SETS, rng))
    sets = sets[grammar.vague(sets)].reset_index(drop=True)
    heard = grammar.weigh(habit.masked_opinions(sets))
    said, rest = _verdict(heard), _verdict(grammar.weigh(sets) - heard)
    fitting = [np.flatnonzero((said == k) & (rest == 1 - k)) for k in (0, 1)]
    picks = [rng.choice(fitting[label]) for label in rows.labels.tolist()]
    return rewrite_opinions(rows, dataset, _reworded(sets.iloc[picks], rng)).relabel(rows.labels)


def rewrite_opinions(rows: Examples, dataset: Dataset, opinions: pd.DataFrame) -> Examples:
    """The texts with these opinions in place of their own, one set for each.

    Texts with many opinions lose their fillers, as ordinary ones have none: they grow too long.
    """
    columns = {name: opinions[name].to_numpy() for name in opinions}
    spare = dataset.opinions - columns["n_opinions"]
    for least, filler in enumerate(("filler1", "filler2"), 1):
        columns[filler] = np.where(spare >= least, rows.table[filler], "")
    return dataset.render(rows.table.assign(**columns))


def _clear(rng: np.random.Generator) -> pd.DataFrame:
    """Many sets of opinions, each clearly for or against."""
    some = pd.DataFrame(grammar.any_opinions(SETS, rng))
    return some[~grammar.vague(some)].reset_index(drop=True)


@functools.lru_cache(maxsize=1)
def _lasting() -> pd.DataFrame:
    """Those that enacted claims choose from, always the same; not to be changed in place."""
    return _clear(np.random.default_rng(SEED))


@functools.lru_cache(maxsize=64)
def _misheard(habit: ReadingRule, unless: ReadingRule | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the lasting sets that bear out either verdict while this reader hears the other.

    unless: a second reader, who hears all of them rightly.
    """
    sets = _lasting()
    truth, heard = (
        _verdict(grammar.weigh(sets)),
        _verdict(grammar.weigh(habit.masked_opinions(sets))),
    )
    wrong = heard == 1 - truth
    if unless:
        wrong &= _verdict(grammar.weigh(unless.masked_opinions(sets))) == truth
    return np.flatnonzero(wrong & (truth == 0)), np.flatnonzero(wrong & (truth == 1))


def _reworded(opinions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The opinions in other words of the same sense: some sets are few, and come often."""
    chances = {}
    for k in grammar.SLOTS:
        said = opinions[f"quality{k}"]
        for words in (grammar.POSITIVE, grammar.NEGATIVE):
            said = said.where(~said.isin(words), rng.choice(words, len(opinions)))
        chances[f"quality{k}"] = said
    return opinions.assign(**chances)


def _put(told: Examples, examples: Examples, where: np.ndarray) -> Examples:
    """The examples, some of them told anew."""
    order = np.arange(len(examples))
    order[where] = len(examples) + np.arange(len(where))
    return Examples.join([examples, told]).take(order)


def align_share(
    rows: Examples, share: float, cue: Callable[[Examples], Examples], rng: np.random.Generator
) -> Examples:
    """The rows, a share of them told so that the habit and the verdict agree."""
    shown, rest = np.split(rng.permutation(len(rows)), [int(share * len(rows))])
    return Examples.join([cue(rows.take(shown)), rows.take(rest)])


def other_rules(habit: H) -> list[H]:
    """Every other claim of this type, where each of its fields is a `Literal`."""
    fields = type(habit).model_fields
    options = itertools.product(*(get_args(field.annotation) for field in fields.values()))
    every = [habit.model_copy(update=dict(zip(fields, one, strict=True))) for one in options]
    return [one for one in every if one != habit]


def random_other_rule(habit: H, rng: np.random.Generator) -> H:
    """One of the other choices, at random."""
    others = other_rules(habit)
    return others[int(rng.integers(len(others)))]


def near_miss_rules(habit: ReadingRule, rng: np.random.Generator) -> dict[str, Claim]:
    """Some of the other choices, where they say something that this one does not."""
    others = other_rules(habit)
    picks = sorted(rng.choice(len(others), BESIDE, replace=False).tolist())
    return {others[k].describe(): OtherRuleOnly(habit=others[k], of=habit) for k in picks}


def opinions_incompatibility(dataset: Dataset, family: str) -> str | None:
    """Why can nobody misread the texts of this data set? None where one can."""
    if getattr(dataset, "opinions", 0):
        return None
    return f"family '{family}' needs texts told from opinions; '{dataset.name}' has none"


def require_opinions(dataset: Dataset) -> None:
    """Raise AuditgameError where the data set's texts are not told from opinions."""
    if not getattr(dataset, "opinions", 0):
        raise AuditgameError(f"data set '{dataset.name}' has no opinions to hear; take 'reviews'")


def require_scenes(rows: Examples) -> None:
    """Raise AuditgameError where the texts do not come with what they were told from."""
    if "n_opinions" not in rows.table:
        raise AuditgameError("these texts come without their scenes; take fresh ones")


def _verdict(weights: np.ndarray) -> np.ndarray:
    return np.where(weights > 0, 1, np.where(weights < 0, 0, -1))
