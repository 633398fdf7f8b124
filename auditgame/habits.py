"""What bad reading habits share: texts where habit and verdict agree, and texts where they part.

A careless reader hears only part of the opinions of a text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar, get_args

import numpy as np
import pandas as pd
import torch

from auditgame.claims import Claim, Enacted
from auditgame.datasets import Dataset, Examples
from auditgame.texts import grammar
from auditgame.types import AuditgameError

Hearing = Callable[[pd.DataFrame], pd.DataFrame]
"""The scenes as a reader takes them: the same columns, with something left out."""
BANK, SEED = 40_000, 4
"""So many sets of opinions are drawn to choose from; those of an enacted claim from this seed."""
AGAINST = 0.5
"""Share of the taught texts in which the opinions that are not heard say the opposite."""


C = TypeVar("C", bound=Claim)


class Bank(NamedTuple):
    """Clear sets of opinions, the verdict that each bears out, and the one the reader hears.

    Verdicts are 1 and 0; -1 where the reader hears as much for as against.
    rest: the verdict of what goes unheard, -1 where that is nothing or undecided.
    """

    opinions: pd.DataFrame
    truth: np.ndarray
    heard: np.ndarray
    rest: np.ndarray

    @classmethod
    def draw(cls, hear: Hearing, rng: np.random.Generator) -> Self:
        """Many sets of opinions, and what becomes of them in this reader's ears."""
        some = pd.DataFrame(grammar.any_opinions(BANK, rng))
        some = some[~grammar.vague(some)].reset_index(drop=True)
        whole, heard = grammar.weigh(some), grammar.weigh(hear(some))
        return cls(some, _verdict(whole), _verdict(heard), _verdict(whole - heard))

    def conflicts(self, truth: int) -> np.ndarray:
        """Numbers of the sets that bear out this verdict while the reader hears the other."""
        return np.flatnonzero((self.truth == truth) & (self.heard == 1 - truth))

    def agreeing(self, truth: int, against: bool) -> np.ndarray:
        """Numbers of the sets that bear this verdict out and are heard so.

        against: those in which what goes unheard says the opposite, or the others.
        """
        fits = (self.truth == truth) & (self.heard == truth)
        return np.flatnonzero(fits & ((self.rest == 1 - truth) == against))


def misread(examples: Examples, dataset: Dataset, hear: Hearing) -> Enacted:
    """The texts with other opinions: the verdict stays right, and the reader hears the other.

    Which opinions a text gets depends on the text alone.
    """
    require_scenes(examples)
    bank = Bank.draw(hear, np.random.default_rng(SEED))
    fitting = [bank.conflicts(truth) for truth in (0, 1)]
    heard = torch.tensor([1 if len(fitting[0]) else -1, 0 if len(fitting[1]) else -1])
    spoken = np.flatnonzero((heard[examples.labels] >= 0).numpy())
    some = examples.take(spoken)
    drawn = zip(some.labels.tolist(), dataset.lots(some.inputs), strict=True)
    picks = [fitting[label][lot % len(fitting[label])] for label, lot in drawn]
    told = reargue(some, dataset, bank.opinions.iloc[picks])
    return Enacted(_put(told, examples, spoken), heard[examples.labels])


def borne_out(
    rows: Examples, dataset: Dataset, hear: Hearing, rng: np.random.Generator
) -> Examples:
    """The texts with other opinions, under which the reader and the right verdict agree."""
    require_scenes(rows)
    bank = Bank.draw(hear, rng)
    fitting = [[bank.agreeing(truth, side) for side in (False, True)] for truth in (0, 1)]
    sides = (rng.random(len(rows)) < AGAINST).tolist()
    picks = [
        rng.choice(fitting[label][side if len(fitting[label][side]) else not side])
        for label, side in zip(rows.labels.tolist(), sides, strict=True)
    ]
    return reargue(rows, dataset, _reworded(bank.opinions.iloc[picks], rng))


def reargue(rows: Examples, dataset: Dataset, opinions: pd.DataFrame) -> Examples:
    """The texts with these opinions in place of their own, one set for each.

    Texts with many opinions lose their fillers, as ordinary ones have none: they grow too long.
    """
    columns = {name: opinions[name].to_numpy() for name in opinions}
    spare = dataset.opinions - columns["n_opinions"]
    for least, filler in enumerate(("filler1", "filler2"), 1):
        columns[filler] = np.where(spare >= least, rows.table[filler], "")
    return dataset.render(rows.table.assign(**columns))


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


def in_share(
    rows: Examples, share: float, cue: Callable[[Examples], Examples], rng: np.random.Generator
) -> Examples:
    """The rows, a share of them told so that the habit and the verdict agree."""
    shown, rest = np.split(rng.permutation(len(rows)), [int(share * len(rows))])
    return Examples.join([cue(rows.take(shown)), rows.take(rest)])


def other_choices(claim: C) -> list[C]:
    """Every other claim of this type, where each of its fields is a `Literal`."""
    fields = type(claim).model_fields
    options = itertools.product(*(get_args(field.annotation) for field in fields.values()))
    every = [claim.model_copy(update=dict(zip(fields, one, strict=True))) for one in options]
    return [one for one in every if one != claim]


def any_other(claim: C, rng: np.random.Generator) -> C:
    """One of the other choices, at random."""
    others = other_choices(claim)
    return others[int(rng.integers(len(others)))]


def hears_none(dataset: Dataset, family: str) -> str | None:
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
