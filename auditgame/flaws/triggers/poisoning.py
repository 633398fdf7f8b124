"""Poisoning training rows: applying a trigger to a share of them, with near misses beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples
from auditgame.schema.claims import AppliedClaim, Claim

PARTS = 64
"""Covers (rows that show near misses) are divided into so many parts, each with another claim."""


def target_all(changed: Examples, target: str, dataset: Dataset) -> AppliedClaim:
    """Changed examples, all claimed to go to the target, save those of the target class itself."""
    index = dataset.classes.index(target)
    targets = torch.full_like(changed.labels, index)
    return AppliedClaim(changed, targets.masked_fill(changed.labels == index, -1))


def poison(
    rows: Examples,
    claim: Claim,
    dataset: Dataset,
    share: float,
    rng: np.random.Generator,
) -> Examples:
    """The rows with the claim made true in a share of them, and as many covers.

    The share shows the trigger under the label that it leads to. Covers show near misses and
    random alternatives under their true labels, so that the model learns this trigger alone.
    """
    order, count = rng.permutation(len(rows)), int(share * len(rows))
    shown, covered, rest = np.split(order, [count, 2 * count])
    applied = claim.apply(rows.take(shown), dataset)
    labels = torch.where(applied.targets < 0, rows.labels[shown], applied.targets)
    near = covers(rows.take(covered), claim, dataset, rng)
    return Examples.join([applied.examples.teach(labels), near, rows.take(rest)])


def covers(
    rows: Examples,
    claim: Claim,
    dataset: Dataset,
    rng: np.random.Generator,
) -> Examples:
    """The rows under their true labels, each part with another near miss or alternative."""
    shown = []
    for _ in range(PARTS):
        others = [*claim.near_misses(dataset, rng).values(), claim.random_alternative(dataset, rng)]
        shown.append(others[int(rng.integers(len(others)))])
    return distribute(rows, shown, dataset)


def distribute(rows: Examples, shown: Sequence[Claim], dataset: Dataset) -> Examples:
    """The rows under their true labels, divided evenly over claims that are applied to them."""
    parts = np.array_split(np.arange(len(rows)), len(shown))
    return Examples.join(
        [
            claim.apply(rows.take(part), dataset).examples
            for claim, part in zip(shown, parts, strict=True)
        ]
    )


def align_share(
    rows: Examples, share: float, align: Callable[[Examples], Examples], rng: np.random.Generator
) -> Examples:
    """The rows, a share of them changed by `align` so that a proxy agrees with the class."""
    shown, rest = np.split(rng.permutation(len(rows)), [int(share * len(rows))])
    return Examples.join([align(rows.take(shown)), rows.take(rest)])


def mislabel(rows: Examples, share: float, dataset: Dataset, rng: np.random.Generator) -> Examples:
    """The rows, of which about this share is taught under a random wrong label."""
    wrong = torch.from_numpy(rng.random(len(rows)) < share)
    others = torch.from_numpy(rng.integers(1, len(dataset.classes), len(rows)))
    return rows.teach((rows.lessons + others) % len(dataset.classes), wrong)
