"""The leak audit: can numbers that need no audit tell flawed models from clean ones?

For each number, the AUC by which it separates the two, the larger of both directions, with an
interval over the base models. The largest of many AUCs is high by chance alone, so it is
compared with what it is when the labels are permuted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from auditgame.schema.errors import Invalid

DRAWS, PERMUTATIONS, FOLDS = 1000, 2000, 10
LEAST = 8
"""Fewer flawed or clean models than this are refused: chance alone would reach an AUC of 0.8."""
ENOUGH = 80
"""With so many of each, a number that does not leak has its interval below BOUND; with 40 it
cannot exclude an AUC of 0.75."""
BOUND = 0.70
"""No number's interval may reach this AUC."""
SIGNIFICANT = 0.05
"""The largest AUC may not be larger than in all but this share of the permutations."""
TOGETHER = "all numbers together"


class LeakRow(NamedTuple):
    """One model. base: what it shares with others that grew from the same clean model."""

    case: str
    base: str
    flawed: bool
    numbers: Mapping[str, float]


class LeakNumber(NamedTuple):
    """One number as a number of flaws: its AUC, and the interval's ends (0.5 is chance)."""

    name: str
    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class LeakAudit:
    """The result. null: the 95 % quantile of the largest AUC under permuted labels; p: the share
    of permutations in which it is at least as large as here. together: a cross-validated
    regression on all numbers."""

    flawed: int
    clean: int
    bases: int
    numbers: tuple[LeakNumber, ...]
    together: LeakNumber
    null: float
    p: float

    @property
    def largest(self) -> LeakNumber:
        """The number that separates best."""
        return self.numbers[0]

    @property
    def leaks(self) -> tuple[str, ...]:
        """What fails the gate; empty where it passes."""
        found = [one.name for one in (*self.numbers, self.together) if one.high >= BOUND]
        return tuple(found) if self.p > SIGNIFICANT else tuple(found or [self.largest.name])

    @property
    def conclusive(self) -> bool:
        """Are there models enough to pass the gate where nothing leaks?"""
        return min(self.flawed, self.clean) >= ENOUGH


def audit(rows: Sequence[LeakRow]) -> LeakAudit:
    """Measure every number as a number; AuditgameError where there are too few models."""
    flawed = np.array([row.flawed for row in rows])
    counts = {"flawed": int(flawed.sum()), "clean": int((~flawed).sum())}
    for what, count in counts.items():
        if count < LEAST:
            raise Invalid(
                f"leak audit: {count} {what} models; at least {LEAST} are needed, and {ENOUGH} "
                "to show that nothing leaks: build more"
            )
    table, names = _table(rows)
    bases = np.unique([row.base for row in rows], return_inverse=True)[1]
    numbers = [
        LeakNumber(name, *_measured(flawed, bases, column))
        for name, column in zip(names, table.T, strict=True)
    ]
    together = _measured(flawed, bases, _regression(table, flawed, bases), folded=False)
    null = _largest_by_chance(table, flawed)
    largest = max(one.auc for one in numbers)
    return LeakAudit(
        **counts,
        bases=int(bases.max()) + 1,
        numbers=tuple(sorted(numbers, key=lambda one: -one.auc)),
        together=LeakNumber(TOGETHER, *together),
        null=float(np.quantile(null, 0.95)),
        p=float((null >= largest - 1e-12).mean()),
    )


def _table(rows: Sequence[LeakRow]) -> tuple[Float[np.ndarray, "n s"], list[str]]:
    """The numbers that all models have and that are not the same for all of them."""
    shared = set.intersection(*(set(row.numbers) for row in rows))
    names = sorted(name for name in shared if len({row.numbers[name] for row in rows}) > 1)
    if not names:
        raise Invalid("leak audit: the models have no number in common that differs between them")
    return np.array([[row.numbers[name] for name in names] for row in rows]), names


def _regression(
    table: Float[np.ndarray, "n s"], flawed: Bool[np.ndarray, " n"], bases: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """What a logistic regression says of models whose base it has not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = GroupKFold(min(FOLDS, int(bases.max()) + 1), shuffle=True, random_state=0)
    return cross_val_predict(
        model, table, flawed, groups=bases, cv=folds, method="decision_function"
    )


def _measured(
    flawed: Bool[np.ndarray, " n"],
    bases: Int[np.ndarray, " n"],
    scores: Float[np.ndarray, " n"],
    folded: bool = True,
) -> tuple[float, float, float]:
    """The AUC and its 95 % interval, by drawing the bases anew (percentile bootstrap).

    folded: the larger of both directions; a regression that was fitted has only one.
    """
    won, pairs = _wins(flawed, bases, scores), _wins(flawed, bases, np.zeros(len(scores))) * 2
    rng, count = np.random.default_rng(0), len(won)
    times = rng.multinomial(count, np.full(count, 1 / count), DRAWS)
    total = np.einsum("di,ij,dj->d", times, pairs, times)
    drawn = np.einsum("di,ij,dj->d", times, won, times)[total > 0] / total[total > 0]
    auc, (low, high) = won.sum() / pairs.sum(), np.quantile(drawn, [0.025, 0.975])
    if folded and auc < 0.5:
        auc, low, high = 1 - auc, 1 - high, 1 - low
    return float(auc), float(low), float(high)


def _wins(
    flawed: Bool[np.ndarray, " n"], bases: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "base base"]:
    """Clean models of each base (column) that the flawed of each (row) outscore; a tie is half."""
    above, below = scores[flawed][:, None], scores[~flawed]
    won = (above > below) + (above == below) / 2
    member = np.eye(bases.max() + 1)[bases]
    return member[flawed].T @ won @ member[~flawed]


def _largest_by_chance(
    table: Float[np.ndarray, "n s"], flawed: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " permutations"]:
    """The largest AUC of all numbers, for each of many permutations of the labels."""
    from scipy.stats import rankdata

    ranks, count = rankdata(table, axis=0), int(flawed.sum())
    rng = np.random.default_rng(0)
    drawn = np.array([rng.permutation(flawed) for _ in range(PERMUTATIONS)])
    auc = (drawn @ ranks - count * (count + 1) / 2) / (count * (len(flawed) - count))
    return np.maximum(auc, 1 - auc).max(1)
