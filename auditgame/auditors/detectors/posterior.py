"""Posterior probabilities of a flaw after a test."""

from __future__ import annotations

from collections.abc import Iterable

SENSITIVITY, FALSE_ALARM = 0.9, 0.03
"""Assumed rates of a positive test, on a flaw it can find and on a clean model."""


def chance_missed(seen: Iterable[str], families: Iterable[str]) -> float:
    """Probability of a flaw after a negative test for the families `seen`.

    Bayes' rule, with even prior odds of a clean model, and the offered families equally probable.
    """
    flawed = set(families)
    share = len(flawed & set(seen)) / len(flawed)
    missed = 1 - SENSITIVITY * share
    return missed / (missed + 1 - FALSE_ALARM * (share > 0))


def chance_found(effect_at_least: float) -> float:
    """Probability of a flaw given the lower bound of a claim's effect."""
    return 0.98 if effect_at_least >= 0.5 else 0.9 if effect_at_least >= 0.3 else 0.7
