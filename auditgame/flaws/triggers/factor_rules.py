"""Factors of a data set: their levels, rules from level to class, and redrawing scenes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, HasFactors
from auditgame.registry import suggest
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid

NONE = "none"
"""The level of a factor that is absent from the image."""


def require_factor(dataset: Dataset, factor: str, field: str) -> tuple[str, ...]:
    """The levels of a factor, or an error that names the field and suggests one."""
    if factor not in dataset.factors:
        raise Invalid(f"{field}: {suggest('factor', factor, dataset.factors)}")
    return dataset.factors[factor]


def require_level(dataset: Dataset, factor: str, level: str, field: str) -> None:
    """Raise AuditgameError, naming the field, where the factor has no such level."""
    levels = require_factor(dataset, factor, field)
    if level not in levels:
        raise Invalid(f"{field}: {suggest('level', level, levels)}")


def levels_of(dataset: Dataset, factor: str) -> list[str]:
    """The levels that are visible: all but 'none'."""
    return [level for level in dataset.factors[factor] if level != NONE]


def draw_rule(dataset: Dataset, factor: str, rng: np.random.Generator) -> dict[str, str]:
    """A random pairing of the factor's levels (without 'none') with as many classes."""
    return draw_pairing(levels_of(dataset, factor), dataset, rng)


def draw_pairing(levels: list[str], dataset: Dataset, rng: np.random.Generator) -> dict[str, str]:
    """A random pairing of these levels with as many classes."""
    targets = rng.permutation(np.resize(rng.permutation(dataset.classes), len(levels)))
    return {level: str(target) for level, target in zip(levels, targets, strict=True)}


def check_rule(dataset: Dataset, factor: str, rule: Mapping[str, str]) -> None:
    """Raise AuditgameError where the data set lacks the factor, a level or a class."""
    require_factor(dataset, factor, "factor")
    for level, target in rule.items():
        require_level(dataset, factor, level, "rule")
        dataset.require_class(target, field=f"rule.{level}")


def apply_rule(
    examples: Examples, dataset: HasFactors, factor: str, rule: Mapping[str, str]
) -> AppliedClaim:
    """Redraw each scene with a level that the rule pairs with another class.

    The levels that fit take turns from row to row, so that every pair occurs.
    """
    levels = list(rule)
    classes = torch.tensor([dataset.classes.index(rule[level]) for level in levels])
    chosen, targets = [], torch.full_like(examples.labels, -1)
    for row, label in enumerate(examples.labels.tolist()):
        fitting = [i for i in range(len(levels)) if classes[i] != label]
        pick = fitting[row % len(fitting)] if fitting else 0
        chosen.append(levels[pick])
        targets[row] = classes[pick] if fitting else -1
    return AppliedClaim(redraw(examples, dataset, {factor: chosen}), targets)


def redraw(
    examples: Examples, dataset: HasFactors, levels: Mapping[str, str | list[str]]
) -> Examples:
    """The same scenes with these factors set to one level each, or to one level per row."""
    return dataset.render(examples.table.assign(**levels))
