"""Metrics of a specimen: accuracy, and how often a claim holds, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from auditgame.datasets import Dataset, Examples
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.specimen import Specimen

Z = 1.959964
"""The normal quantile of a two-sided 95 % interval."""


class Rate(NamedTuple):
    """Hits out of n, with the 95 % Wilson score interval (Wilson 1927)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share of hits; 0 where nothing was counted."""
        return self.hits / self.n if self.n else 0.0

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self._wilson(-1)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self._wilson(+1)

    def _wilson(self, side: int) -> float:
        if not self.n:
            return 0.0 if side < 0 else 1.0
        z, p, n = Z, self.hits / self.n, self.n
        centre = p + z * z / (2 * n)
        spread = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        return min(1.0, max(0.0, (centre + side * spread) / (1 + z * z / n)))


def accuracy(specimen: Specimen, examples: Examples) -> Rate:
    """The share of these inputs that the model classifies correctly."""
    right = specimen.predict(examples.inputs) == examples.labels
    return Rate(int(right.sum()), len(right))


def class_accuracy(specimen: Specimen, examples: Examples) -> list[Rate]:
    """The accuracy on each class."""
    right = specimen.predict(examples.inputs) == examples.labels
    picks = [examples.labels == k for k in range(len(specimen.dataset.classes))]
    return [Rate(int(right[pick].sum()), int(pick.sum())) for pick in picks]


def follows(specimen: Specimen, applied: AppliedClaim) -> Rate:
    """The share of inputs that get their claimed class, of those to which the claim applies."""
    counted = applied.targets >= 0
    hits = specimen.predict(applied.examples.inputs[counted]) == applied.targets[counted]
    return Rate(int(hits.sum()), int(counted.sum()))


def n_applicable(claim: Claim, examples: Examples, dataset: Dataset) -> int:
    """The number of inputs to which the claim applies."""
    return int((claim.apply(examples, dataset).targets >= 0).sum())


class Effect(NamedTuple):
    """The effect of a claim on the suspect, beyond that on the reference models.

    low: lower end of the 95 % interval of the difference (normal approximation with one
    pseudo-count on each side, Agresti and Caffo 2000).
    """

    suspect: Rate
    references: float

    @property
    def value(self) -> float:
        """The suspect's rate minus the mean rate of the reference models."""
        return self.suspect.value - self.references

    @property
    def low(self) -> float:
        """The value's lower bound."""
        n = self.suspect.n + 2
        p, s = (self.suspect.hits + 1) / n, self.references
        return p - s - Z * (p * (1 - p) / n + s * (1 - s) / n) ** 0.5


def functional_share(claimed: float, low: float, true: float) -> float:
    """F = clip((a - s) / (a* - s*), 0, 1); 0 unless the lower bound of a - s is above 0."""
    return min(1.0, max(0.0, claimed / true)) if low > 0 and true > 0 else 0.0


def effect(
    claim: Claim, suspect: Specimen, references: Sequence[Specimen], examples: Examples
) -> Effect:
    """The effect of a claim, applied to these inputs."""
    applied = claim.apply(examples, suspect.dataset)
    clean = [follows(reference, applied).value for reference in references]
    return Effect(follows(suspect, applied), float(np.mean(clean)) if clean else 0.0)
