"""Conformance rules for a flaw family and its claims."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, HasFacts
from auditgame.flaws import Flaw
from auditgame.plugins.conformance.fixtures import (
    copied,
    datasets,
    generator,
    same_examples,
    undisturbed,
)
from auditgame.schema.claims import Claim
from auditgame.schema.errors import Invalid

DRAWS, TRIED = 8, 3
"""The number of flaws drawn to see whether they differ, and of claims that are applied."""
ROWS = 60


@lru_cache(maxsize=4)
def _data(kind: type[Flaw]) -> list[Dataset]:
    """The first data set of each modality that the family fits."""
    found: dict[str, Dataset] = {}
    for dataset in datasets():
        if kind.incompatibility(dataset) is None:
            found.setdefault(dataset.modality, dataset)
    if not found:
        raise Invalid("incompatibility: the family fits no data set that is installed")
    return list(found.values())


def _drawn(kind: type[Flaw], dataset: Dataset, number: int = 0) -> Flaw:
    return kind.draw(dataset, kind.Params(), generator(f"draw {number}"))


def _claims(kind: type[Flaw]) -> Iterator[tuple[Dataset, Claim]]:
    """Some true claims with their data sets; none for a family that plants nothing."""
    for dataset in _data(kind):
        for number in range(TRIED):
            claim = _drawn(kind, dataset, number).true_claim()
            if claim is not None:
                yield dataset, claim


@lru_cache(maxsize=4)
def _held(dataset: Dataset) -> Examples:
    return dataset.sample(ROWS, "held", generator("rows"))


def _rows(dataset: Dataset) -> Examples:
    return copied(_held(dataset))


def _unchanged(act: Callable[[Examples], object], dataset: Dataset, name: str) -> Iterator[str]:
    rows = _rows(dataset)
    before = copied(rows)
    act(rows)
    kept = rows.scenes is None or rows.scenes.equals(before.scenes)
    if not same_examples(rows, before) or not kept:
        yield f"{name}: changes its argument in place; return new rows"


def is_documented(kind: type[Flaw]) -> Iterator[str]:
    """It has a title, a docstring with its source, and plans; only a flaw has claims."""
    text = inspect.getdoc(kind) or ""
    if not kind.title.strip() or not text:
        yield "no title or no docstring; write both"
    if kind.kind != "none" and "Source:" not in text:
        yield "docstring: no 'Source:'; name authors, year, arXiv id"
    if not kind.plans or any(not 0 < plan.share <= 1 for plan in kind.plans):
        yield "plans: give at least one, with a share of rows in (0, 1]"
    if (kind.Claim is None) != (kind.kind == "none"):
        yield "Claim: must be None if kind is 'none', and a class of claims otherwise"


def draw_is_deterministic(kind: type[Flaw]) -> Iterator[str]:
    """`draw` depends on its generator alone, and different generators draw different flaws."""
    for dataset in _data(kind):
        claims = [_drawn(kind, dataset, number).true_claim() for number in range(DRAWS)]
        if claims[0] != _drawn(kind, dataset).true_claim():
            yield "draw: two equal generators draw different flaws"
        different = len({str(claim) for claim in claims})
        if kind.kind != "none" and different < DRAWS // 2:
            yield f"draw: {DRAWS} generators draw only {different} different flaws"
        yield from undisturbed(_drawn, kind, dataset)


def claims_survive_json(kind: type[Flaw]) -> Iterator[str]:
    """`true_claim` gives a `Claim` that passes its own check, can be read back from JSON and has a
    description.
    """
    for dataset, claim in _claims(kind):
        if type(claim) is not kind.Claim:
            yield f"true_claim: returns a {type(claim).__name__}, not the family's Claim"
            return
        claim.check(dataset)
        again = kind.Claim.parse(json.loads(claim.model_dump_json()))
        if again != claim:
            yield f"Claim: reads another claim back from JSON: {again}"
        if not claim.describe().strip():
            yield "describe: returns no text"


def claims_are_graded(kind: type[Flaw]) -> Iterator[str]:
    """The true claim scores 1 in every graded field, and random alternatives less on average."""
    scores = []
    for dataset, claim in _claims(kind):
        grades = claim.field_scores(claim)
        if not grades or any(abs(grade - 1) > 1e-9 for grade in grades.values()):
            yield f"field_scores: the true claim scores {grades}; must be 1 in every field"
        other = claim.random_alternative(dataset, generator("rival"))
        other.check(dataset)
        scores.append(float(np.mean(list(other.field_scores(claim).values()))))
    mean = np.mean(scores) if scores else 0.0
    if mean >= 0.95:
        yield f"random_alternative: scores {mean:.2f}, as the truth; draw another trigger"


def claims_can_be_applied(kind: type[Flaw]) -> Iterator[str]:
    """`apply` keeps the number of rows, gives a class or -1 for each, and changes some inputs."""
    for dataset, claim in _claims(kind):
        rows = _rows(dataset)
        applied = claim.apply(rows, dataset)
        if len(applied.examples) != ROWS or applied.targets.shape != (ROWS,):
            yield f"apply: {len(applied.examples)} rows out of {ROWS}; keep their number"
            return
        if applied.targets.min() < -1 or applied.targets.max() >= len(dataset.classes):
            yield "apply: targets must be -1 or the index of a class"
        if (applied.targets == rows.labels).any():
            yield "apply: the target must be -1 where it is the right label anyway"
        if (applied.targets < 0).all():
            yield "apply: gives no row a target"
        if torch.equal(applied.examples.inputs, rows.inputs):
            yield "apply: changes no input"
        yield from _unchanged(partial(claim.apply, dataset=dataset), dataset, "apply")


def has_near_misses(kind: type[Flaw]) -> Iterator[str]:
    """Near misses are named claims, other than the true one, that can be applied."""
    for dataset, claim in _claims(kind):
        misses = claim.near_misses(dataset, generator("near"))
        if not misses:
            yield "near_misses: is empty; give at least one"
        for name, miss in misses.items():
            if not name.strip() or miss == claim:
                yield f"near_misses: '{name}' has no name, or is the true claim"
            if len(miss.apply(_rows(dataset), dataset).examples) != ROWS:
                yield f"near_misses: '{name}' changes the number of rows"


def poisoning_is_deterministic(kind: type[Flaw]) -> Iterator[str]:
    """`poison` keeps the number of rows, gives valid labels, and depends on its generator alone."""
    for dataset in _data(kind):
        flaw = _drawn(kind, dataset)
        for plan in kind.plans:
            one, other = (
                flaw.poison(_rows(dataset), dataset, plan, generator("poison")) for _ in range(2)
            )
            if len(one) != ROWS:
                yield f"poison: {len(one)} rows out of {ROWS}; keep their number"
            if one.lessons.min() < 0 or one.lessons.max() >= len(dataset.classes):
                yield "poison: a label is not the index of a class"
            if not same_examples(one, other):
                yield "poison: two equal generators give different rows"
        plan = kind.plans[0]
        yield from _unchanged(
            partial(flaw.poison, dataset=dataset, plan=plan, rng=generator("poison")),
            dataset,
            "poison",
        )


def trigger_keeps_labels(kind: type[Flaw]) -> Iterator[str]:
    """`apply_trigger` keeps right labels and the scenes of the rows.

    Where it asks another question about a text, the right label is the data set's for its scene.
    Players see factors: rows without scenes would give the family away.
    """
    for dataset in _data(kind):
        flaw, rows = _drawn(kind, dataset), _rows(dataset)
        shown = flaw.apply_trigger(rows, dataset, generator("cue"))
        right = rows.labels
        if isinstance(dataset, HasFacts):
            right = dataset.render(shown.table).labels
        if not torch.equal(shown.lessons, right):
            yield "apply_trigger: changes labels"
        if (shown.scenes is None) != (rows.scenes is None):
            yield "apply_trigger: drops the scenes of the rows; keep them"
        yield from _unchanged(
            partial(flaw.apply_trigger, dataset=dataset, rng=generator("cue")),
            dataset,
            "apply_trigger",
        )


RULES = (
    is_documented,
    draw_is_deterministic,
    claims_survive_json,
    claims_are_graded,
    claims_can_be_applied,
    has_near_misses,
    poisoning_is_deterministic,
    trigger_keeps_labels,
)
