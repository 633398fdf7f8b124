"""Reading exhibits as a program does, and saying how sure one may be after it."""

from __future__ import annotations

from collections.abc import Iterable

SENSITIVITY, FALSE_ALARM = 0.9, 0.03
"""How often an auditor's test fires on a flaw it can see, and on an innocent (assumed)."""


def chance_missed(seen: Iterable[str], families: Iterable[str]) -> float:
    """How likely is a flaw after a test for the families `seen` found none?

    Bayes' rule, with even odds of an innocent, and every family on the card alike likely.
    """
    flawed = set(families)
    share = len(flawed & set(seen)) / len(flawed)
    missed = 1 - SENSITIVITY * share
    return missed / (missed + 1 - FALSE_ALARM * (share > 0))


def chance_found(effect_at_least: float) -> float:
    """How likely is a flaw after a claim had at least this effect beyond the reference models?"""
    return 0.98 if effect_at_least >= 0.5 else 0.9 if effect_at_least >= 0.3 else 0.7
