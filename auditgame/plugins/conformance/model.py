"""Conformance rules for a model."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from auditgame.datasets import Dataset, TextDataset
from auditgame.models import Model, Tap
from auditgame.plugins.conformance.fixtures import datasets, generator, torch_generator, undisturbed
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError, Invalid

UNIT_AXIS = {"vector": -1, "neuron": -1, "head": 2, "pattern": 1, "channel": 1}
"""The dimension that counts the units, by the kind of site."""
ROWS = 3


@lru_cache(maxsize=4)
def _data(kind: type[Model]) -> Dataset:
    """The first data set that this model can be built for."""
    reasons = []
    for dataset in datasets():
        if dataset.modality == kind.modality:
            try:
                kind.build(dataset, None)
            except AuditgameError as error:
                reasons.append(str(error))
                continue
            return dataset
    why = "; ".join(reasons) or f"none holds {kind.modality} data"
    raise Invalid(f"build: fits no data set that is installed: {why}")


def _built(kind: type[Model], use: str = "weights") -> tuple[Model, Dataset]:
    dataset = _data(kind)
    return kind.build(dataset, torch_generator(use)).eval(), dataset


def _inputs(dataset: Dataset) -> Tensor:
    return dataset.sample(ROWS, "held", generator("rows")).inputs


def is_documented(kind: type[Model]) -> Iterator[str]:
    """It has a docstring, and at least one site; no two sites have the same name."""
    if not inspect.getdoc(kind):
        yield "no docstring; describe the architecture"
    if not kind.title.strip():
        yield "title: is empty"
    names = [site.name for site in _built(kind)[0].sites]
    if not names or len(set(names)) < len(names):
        yield "sites: give at least one, and each another name"


def builds_deterministically(kind: type[Model]) -> Iterator[str]:
    """`build` draws the weights from its generator alone."""
    one, other, third = (_built(kind, use)[0].state_dict() for use in ("a", "a", "b"))
    if any(not torch.equal(one[name], other[name]) for name in one):
        yield "build: two equal generators give different weights"
    if all(torch.equal(one[name], third[name]) for name in one):
        yield "build: another generator gives the same weights"
    dataset = _data(kind)
    yield from undisturbed(kind.build, dataset, torch_generator("a"))


def weights_can_be_stored(kind: type[Model]) -> Iterator[str]:
    """Weights are finite as float16 and fit a model that was built without a generator."""
    model, dataset = _built(kind)
    empty = kind.build(dataset, None).state_dict()
    for name, value in model.state_dict().items():
        if not value.half().isfinite().all():
            yield f"tensor '{name}': is not finite as float16"
        if name not in empty or empty[name].shape != value.shape:
            yield f"tensor '{name}': is missing or has another shape in a model built from None"


def forward_is_deterministic(kind: type[Model]) -> Iterator[str]:
    """`forward` gives the same logits every time: one for each class (images) or word (text)."""
    model, dataset = _built(kind)
    inputs = _inputs(dataset)
    wanted: tuple[int, ...] = (ROWS, len(dataset.classes))
    if isinstance(dataset, TextDataset):
        wanted = (*inputs.shape, len(dataset.words))
    with torch.no_grad():
        one, other = model(inputs), model(inputs)
        alone = model(inputs[:1])
    if tuple(one.shape) != wanted:
        yield f"forward: output has shape {tuple(one.shape)}; must be {wanted}"
    if not torch.equal(one, other):
        yield "forward: two passes in evaluation mode differ"
    if not torch.allclose(one[:1], alone, atol=1e-4):
        yield "forward: the output of one input depends on the rest of the batch"
    yield from undisturbed(model, inputs)


def taps_its_sites(kind: type[Model]) -> Iterator[str]:
    """`forward` calls the tap once for each declared site, in order, with its number of units."""
    model, dataset = _built(kind)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def tap(name: str, value: Tensor) -> Tensor:
        seen.append((name, tuple(value.shape)))
        return value

    with torch.no_grad():
        model(_inputs(dataset), tap)
    if [name for name, _ in seen] != [site.name for site in model.sites]:
        yield f"sites: declares {[s.name for s in model.sites]}, taps {[name for name, _ in seen]}"
        return
    for site, (_, shape) in zip(model.sites, seen, strict=True):
        if shape[UNIT_AXIS[site.kind]] != site.units or len(shape) != _dimensions(kind, site):
            yield f"site {site.name}: {site.units} {site.kind}s declared, tapped value is {shape}"


def _dimensions(kind: type[Model], site: Site) -> int:
    return 4 if kind.modality == "image" or site.kind in ("head", "pattern") else 3


def edits_take_effect(kind: type[Model]) -> Iterator[str]:
    """The model goes on with the value that the tap returns, at every site."""
    model, dataset = _built(kind)
    inputs = _inputs(dataset)
    with torch.no_grad():
        plain = model(inputs)
        for site in model.sites:
            if torch.equal(model(inputs, _disturb(site.name)), plain):
                yield f"site {site.name}: an edited value does not change the output"


def _disturb(site: str) -> Tap:
    def tap(name: str, value: Tensor) -> Tensor:
        if name != site:
            return value
        noise = torch.randn(value.shape, generator=torch_generator("noise"))
        return value + noise * (1 + value.abs().mean())

    return tap


RULES = (
    is_documented,
    builds_deterministically,
    weights_can_be_stored,
    forward_is_deterministic,
    taps_its_sites,
    edits_take_effect,
)
