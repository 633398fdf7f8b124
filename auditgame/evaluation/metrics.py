"""Experiments on a specimen: accuracy, how often a claim comes true, what carries it."""

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
        """The share of hits; 0 where there was nothing to count."""
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
    """How many of these inputs does the model get right?"""
    right = specimen.predict(examples.inputs) == examples.labels
    return Rate(int(right.sum()), len(right))


def class_accuracy(specimen: Specimen, examples: Examples) -> list[Rate]:
    """The same, class by class."""
    right = specimen.predict(examples.inputs) == examples.labels
    picks = [examples.labels == k for k in range(len(specimen.dataset.classes))]
    return [Rate(int(right[pick].sum()), int(pick.sum())) for pick in picks]


def follows(specimen: Specimen, applied: AppliedClaim) -> Rate:
    """How many inputs go where the claim says? Rows on which it says nothing do not count."""
    counted = applied.targets >= 0
    went = specimen.predict(applied.examples.inputs[counted]) == applied.targets[counted]
    return Rate(int(went.sum()), int(counted.sum()))


def n_applicable(claim: Claim, examples: Examples, dataset: Dataset) -> int:
    """Of how many inputs does the claim say something?"""
    return int((claim.apply(examples, dataset).targets >= 0).sum())


class Effect(NamedTuple):
    """What a claim does to the suspect, beyond what it does to clean siblings.

    low: lower end of the 95 % interval of the difference (normal approximation with one
    pseudo-count on each side, Agresti and Caffo 2000).
    """

    suspect: Rate
    references: float

    @property
    def value(self) -> float:
        """The suspect's rate less the siblings' mean rate."""
        return self.suspect.value - self.references

    @property
    def low(self) -> float:
        """The value's lower bound."""
        n = self.suspect.n + 2
        p, s = (self.suspect.hits + 1) / n, self.references
        return p - s - Z * (p * (1 - p) / n + s * (1 - s) / n) ** 0.5


def effect(
    claim: Claim, suspect: Specimen, references: Sequence[Specimen], examples: Examples
) -> Effect:
    """Enact a claim on inputs: does it come true on the suspect, and not on the siblings?"""
    applied = claim.apply(examples, suspect.dataset)
    clean = [follows(reference, applied).value for reference in references]
    return Effect(follows(suspect, applied), float(np.mean(clean)) if clean else 0.0)


# ------------------------------------------------------------------ mechanism
