"""The contract of a model."""

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
from auditgame.schema.errors import AuditgameError

UNIT_AXIS = {"vector": -1, "neuron": -1, "head": 2, "pattern": 1, "channel": 1}
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
    raise AuditgameError(f"fits no data set here: {'; '.join(reasons) or 'none of its modality'}")


def _built(kind: type[Model], use: str = "weights") -> tuple[Model, Dataset]:
    dataset = _data(kind)
    return kind.build(dataset, torch_generator(use)).eval(), dataset


def _inputs(dataset: Dataset) -> Tensor:
    return dataset.sample(ROWS, "held", generator("rows")).inputs


def tells_of_itself(kind: type[Model]) -> Iterator[str]:
    """It has a docstring and lists its sites, each once."""
    if not inspect.getdoc(kind):
        yield "no docstring; say how it is laid out"
    if not kind.title.strip():
        yield "title: is empty"
    names = [site.name for site in _built(kind)[0].sites]
    if not names or len(set(names)) < len(names):
        yield "sites: name at least one, each once"


def builds_deterministically(kind: type[Model]) -> Iterator[str]:
    """Weights come from the generator handed in and from nowhere else."""
    one, other, third = (_built(kind, use)[0].state_dict() for use in ("a", "a", "b"))
    if any(not torch.equal(one[name], other[name]) for name in one):
        yield "build: two equal generators give different weights"
    if all(torch.equal(one[name], third[name]) for name in one):
        yield "build: another generator gives the same weights"
    dataset = _data(kind)
    yield from undisturbed(kind.build, dataset, torch_generator("a"))


def weights_fit_files(kind: type[Model]) -> Iterator[str]:
    """Weights are finite, also as float16, and fit an empty model of the same kind."""
    model, dataset = _built(kind)
    empty = kind.build(dataset, None).state_dict()
    for name, value in model.state_dict().items():
        if not value.half().isfinite().all():
            yield f"tensor '{name}': is not finite as float16"
        if name not in empty or empty[name].shape != value.shape:
            yield f"tensor '{name}': an empty model has none of this name and shape"


def answers(kind: type[Model]) -> Iterator[str]:
    """Its output has a logit for each class (pictures) or word (texts), the same every time."""
    model, dataset = _built(kind)
    inputs = _inputs(dataset)
    wanted: tuple[int, ...] = (ROWS, len(dataset.classes))
    if isinstance(dataset, TextDataset):
        wanted = (*inputs.shape, len(dataset.words))
    with torch.no_grad():
        one, other = model(inputs), model(inputs)
        alone = model(inputs[:1])
    if tuple(one.shape) != wanted:
        yield f"forward: output is {tuple(one.shape)}; must be {wanted}"
    if not torch.equal(one, other):
        yield "forward: two passes differ in evaluation"
    if not torch.allclose(one[:1], alone, atol=1e-4):
        yield "forward: an answer depends on its neighbours in the batch"
    yield from undisturbed(model, inputs)


def taps_its_sites(kind: type[Model]) -> Iterator[str]:
    """Each declared site is tapped once, in order, with its number of units."""
    model, dataset = _built(kind)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def tap(name: str, value: Tensor) -> Tensor:
        seen.append((name, tuple(value.shape)))
        return value

    with torch.no_grad():
        model(_inputs(dataset), tap)
    if [name for name, _ in seen] != [site.name for site in model.sites]:
        yield f"taps {[name for name, _ in seen]}; sites says {[s.name for s in model.sites]}"
        return
    for site, (_, shape) in zip(model.sites, seen, strict=True):
        if shape[UNIT_AXIS[site.kind]] != site.units or len(shape) != _dimensions(kind, site):
            yield f"site {site.name}: {site.units} {site.kind}s declared, value is {shape}"


def _dimensions(kind: type[Model], site: Site) -> int:
    return 4 if kind.modality == "image" or site.kind in ("head", "pattern") else 3


def edits_count(kind: type[Model]) -> Iterator[str]:
    """What a tap gives back is what the model goes on with, at every site."""
    model, dataset = _built(kind)
    inputs = _inputs(dataset)
    with torch.no_grad():
        plain = model(inputs)
        for site in model.sites:
            if torch.equal(model(inputs, _disturb(site.name)), plain):
                yield f"site {site.name}: an edit changes nothing"


def _disturb(site: str) -> Tap:
    def tap(name: str, value: Tensor) -> Tensor:
        if name != site:
            return value
        noise = torch.randn(value.shape, generator=torch_generator("noise"))
        return value + noise * (1 + value.abs().mean())

    return tap


RULES = (
    tells_of_itself,
    builds_deterministically,
    weights_fit_files,
    answers,
    taps_its_sites,
    edits_count,
)
