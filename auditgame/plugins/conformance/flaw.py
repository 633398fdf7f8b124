"""The contract of a flaw, and of its claim."""

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
from auditgame.schema.errors import AuditgameError

DRAWS, TRIED = 8, 3
"""Flaws drawn to see whether they differ, and claims that are tried out."""
ROWS = 60


@lru_cache(maxsize=4)
def _data(kind: type[Flaw]) -> list[Dataset]:
    """The first data set of each modality that the family fits."""
    found: dict[str, Dataset] = {}
    for dataset in datasets():
        if kind.incompatibility(dataset) is None:
            found.setdefault(dataset.modality, dataset)
    if not found:
        raise AuditgameError("refuses: it fits no data set here")
    return list(found.values())


def _drawn(kind: type[Flaw], dataset: Dataset, number: int = 0) -> Flaw:
    return kind.draw(dataset, kind.Params(), generator(f"draw {number}"))


def _claims(kind: type[Flaw]) -> Iterator[tuple[Dataset, Claim]]:
    """Some drawn claims with their data sets; none for a family that plants nothing."""
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
        yield f"{name}: changes the rows it is given; return new ones"


def tells_of_itself(kind: type[Flaw]) -> Iterator[str]:
    """It has a title, plans, and a docstring with its source."""
    text = inspect.getdoc(kind) or ""
    if not kind.title.strip() or not text:
        yield "give it a title and a docstring"
    if kind.kind != "none" and "Source:" not in text:
        yield "docstring: no 'Source:' (authors, year, arXiv)"
    if not kind.plans or any(not 0 < plan.share <= 1 for plan in kind.plans):
        yield "plans: give at least one, with a share of rows in (0, 1]"
    if (kind.Claim is None) != (kind.kind == "none"):
        yield "Claim: is None where, and only where, kind is 'none'"


def draws_from_its_generator(kind: type[Flaw]) -> Iterator[str]:
    """A draw depends on its generator alone, and differs from generator to generator."""
    for dataset in _data(kind):
        claims = [_drawn(kind, dataset, number).true_claim() for number in range(DRAWS)]
        if claims[0] != _drawn(kind, dataset).true_claim():
            yield "draw: two equal generators draw different flaws"
        if kind.kind != "none" and len({str(claim) for claim in claims}) < DRAWS // 2:
            yield f"draw: {DRAWS} generators draw {len({str(c) for c in claims})} flaws; too few"
        yield from undisturbed(_drawn, kind, dataset)


def confesses_in_json(kind: type[Flaw]) -> Iterator[str]:
    """Its claims are of its Claim, pass their own check, and survive JSON."""
    for dataset, claim in _claims(kind):
        if type(claim) is not kind.Claim:
            yield f"confess: gives a {type(claim).__name__}, not its Claim"
            return
        claim.check(dataset)
        again = kind.Claim.parse(json.loads(claim.model_dump_json()))
        if again != claim:
            yield f"claim: JSON gives back another: {again}"
        if not claim.describe().strip():
            yield "sentence: is empty"


def claims_are_graded(kind: type[Flaw]) -> Iterator[str]:
    """Each graded field of a claim is worth 1 against itself, and rivals less on average."""
    scores = []
    for dataset, claim in _claims(kind):
        grades = claim.field_scores(claim)
        if not grades or any(abs(grade - 1) > 1e-9 for grade in grades.values()):
            yield f"graders: the truth gets {grades}; must be 1 in every field"
        rival = claim.random_alternative(dataset, generator("rival"))
        rival.check(dataset)
        scores.append(float(np.mean(list(rival.field_scores(claim).values()))))
    if scores and np.mean(scores) >= 0.95:
        yield f"rival: as good as the truth ({np.mean(scores):.2f}); draw another trigger"


def claims_are_enacted(kind: type[Flaw]) -> Iterator[str]:
    """Enacting keeps the number of rows, names classes or -1, and changes some inputs."""
    for dataset, claim in _claims(kind):
        rows = _rows(dataset)
        applied = claim.apply(rows, dataset)
        if len(applied.examples) != ROWS or applied.targets.shape != (ROWS,):
            yield f"apply: {ROWS} rows in, {len(applied.examples)} out"
            return
        if applied.targets.min() < -1 or applied.targets.max() >= len(dataset.classes):
            yield "apply: targets must be -1 or the index of a class"
        if (applied.targets == rows.labels).any():
            yield "apply: a target that is the right answer anyway must be -1"
        if (applied.targets < 0).all():
            yield "apply: says nothing of any row"
        if torch.equal(applied.examples.inputs, rows.inputs):
            yield "apply: changes no input"
        yield from _unchanged(partial(claim.apply, dataset=dataset), dataset, "apply")


def has_near_misses(kind: type[Flaw]) -> Iterator[str]:
    """Near misses are named claims, other than the truth, that can be enacted."""
    for dataset, claim in _claims(kind):
        misses = claim.near_misses(dataset, generator("near"))
        if not misses:
            yield "near_misses: name at least one"
        for name, miss in misses.items():
            if not name.strip() or miss == claim:
                yield f"near_misses: '{name}' has no name or is the claim itself"
            if len(miss.apply(_rows(dataset), dataset).examples) != ROWS:
                yield f"near_misses: '{name}' loses rows"


def poisons_rows(kind: type[Flaw]) -> Iterator[str]:
    """Poisoning keeps the number of rows, labels in range, and depends on its generator alone."""
    for dataset in _data(kind):
        flaw = _drawn(kind, dataset)
        for plan in kind.plans:
            one, other = (
                flaw.poison(_rows(dataset), dataset, plan, generator("poison")) for _ in range(2)
            )
            if len(one) != ROWS:
                yield f"poison: {ROWS} rows in, {len(one)} out"
            if one.labels.min() < 0 or one.labels.max() >= len(dataset.classes):
                yield "poison: a label is no class"
            if not same_examples(one, other):
                yield "poison: two equal generators give different rows"
        plan = kind.plans[0]
        yield from _unchanged(
            partial(flaw.poison, dataset=dataset, plan=plan, rng=generator("poison")),
            dataset,
            "poison",
        )


def cues_keep_labels(kind: type[Flaw]) -> Iterator[str]:
    """The cue shows the flaw under right labels, and leaves the rows their factors.

    Where the cue is another question about a text, right is what the data set says of its scene.
    Factors are told to players: where one family's rows have none, that tells the family.
    """
    for dataset in _data(kind):
        flaw, rows = _drawn(kind, dataset), _rows(dataset)
        shown = flaw.apply_trigger(rows, dataset, generator("cue"))
        right = rows.labels
        if isinstance(dataset, HasFacts):
            right = dataset.render(shown.table).labels
        if not torch.equal(shown.labels, right):
            yield "apply_trigger: changes labels"
        if (shown.scenes is None) != (rows.scenes is None):
            yield "apply_trigger: its rows have no scenes; keep those they came with"
        yield from _unchanged(
            partial(flaw.apply_trigger, dataset=dataset, rng=generator("cue")),
            dataset,
            "apply_trigger",
        )


RULES = (
    tells_of_itself,
    draws_from_its_generator,
    confesses_in_json,
    claims_are_graded,
    claims_are_enacted,
    has_near_misses,
    poisons_rows,
    cues_keep_labels,
)
