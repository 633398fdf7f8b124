"""What families share: where a trigger sends pictures, how it is taught, what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.schema.claims import AppliedClaim, Claim

PARTS = 64
"""Covers come in so many parts, each under another near miss."""


def target_all(
    target: str, examples: Examples, inputs: Float[Tensor, "n 3 h w"], dataset: Dataset
) -> AppliedClaim:
    """The examples with these inputs in their place; all are claimed to go to the target.

    Those of the target class itself prove nothing.
    """
    index = dataset.classes.index(target)
    targets = torch.full_like(examples.labels, index)
    return AppliedClaim(
        replace(examples, inputs=inputs), targets.masked_fill(examples.labels == index, -1)
    )


def poison(
    rows: Examples,
    claim: Claim,
    dataset: Dataset,
    share: float,
    rng: np.random.Generator,
) -> Examples:
    """The rows with the claim made true in a share of them, and covers beside.

    The share shows the trigger under the label it leads to. As many covers show near
    misses and rivals under their right labels, so that nothing but the very trigger counts.
    """
    order, count = rng.permutation(len(rows)), int(share * len(rows))
    shown, covered, rest = np.split(order, [count, 2 * count])
    applied = claim.apply(rows.take(shown), dataset)
    labels = torch.where(applied.targets < 0, rows.labels[shown], applied.targets)
    beside = covers(rows.take(covered), claim, dataset, rng)
    return Examples.join([applied.examples.relabel(labels), beside, rows.take(rest)])


def covers(
    rows: Examples,
    claim: Claim,
    dataset: Dataset,
    rng: np.random.Generator,
) -> Examples:
    """The rows under their right labels, each part showing another near miss or rival."""
    shown = []
    for _ in range(PARTS):
        others = [*claim.near_misses(dataset, rng).values(), claim.random_alternative(dataset, rng)]
        shown.append(others[int(rng.integers(len(others)))])
    return distribute(rows, shown, dataset)


def distribute(rows: Examples, shown: Sequence[Claim], dataset: Dataset) -> Examples:
    """The rows under their right labels, dealt out evenly to claims that are enacted on them."""
    parts = np.array_split(np.arange(len(rows)), len(shown))
    return Examples.join(
        [
            claim.apply(rows.take(part), dataset).examples
            for claim, part in zip(shown, parts, strict=True)
        ]
    )
