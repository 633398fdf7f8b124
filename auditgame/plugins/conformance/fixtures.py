"""The furniture that plug-ins are tried with: the default data sets, small random models."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.registry import load, names
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality
from auditgame.seeds import Seed
from auditgame.specimen import Edit, Reading, Specimen
from auditgame.tools import ToolContext

FIRST = ("storybook", "reviews")
"""Data sets that are tried before others: they have factors and are drawn, not fetched."""
MODELS: dict[Modality, str] = {"image": "small_cnn", "text": "gpt2"}
POOL = 20


def generator(use: str) -> np.random.Generator:
    """A NumPy generator, the same at every call."""
    return Seed.of(0).child(use).numpy()


def torch_generator(use: str) -> torch.Generator:
    """A torch generator, the same at every call."""
    return torch.Generator().manual_seed(Seed.of(0).child(use).integer())


def datasets() -> Iterator[Dataset]:
    """Every data set whose data are here, the default ones first."""
    for name in sorted(names("dataset"), key=lambda name: (name not in FIRST, name)):
        dataset = load("dataset", name)()
        try:
            dataset.sample(1, "pool", generator("ready"))
        except AuditgameError:
            continue
        yield dataset


def dataset_of(modality: Modality) -> Dataset:
    """The default data set of a modality."""
    return next(dataset for dataset in datasets() if dataset.modality == modality)


class Counted(Specimen):
    """A specimen that counts the examples sent through it: once forward, once more backward.

    A pass that an edit widens counts as many as it has rows in the end.
    """

    queries: int = 0
    _owner: Counted | None = None

    def run(
        self,
        inputs: Tensor,
        keep: Iterable[str] = (),
        edit: Mapping[str, Edit] | None = None,
        grad: bool | str = False,
        whole: bool = True,
    ) -> Reading:
        """As the plain one, and counts."""
        reading = super().run(inputs, keep, edit, grad, whole)
        rows = max(map(len, (inputs, reading.classes, *reading.kept.values())))
        self._count(rows)
        if grad:
            self._watch(reading, rows)
        return reading

    def randomised(self, stages: int | None, rng: torch.Generator) -> Specimen:
        """As the plain one; its passes count with this one's."""
        other = super().randomised(stages, rng)
        twin = Counted(other._model, self.dataset)
        twin._owner = self
        return twin

    def _count(self, rows: int) -> None:
        (self._owner or self).queries += rows

    def _watch(self, reading: Reading, rows: int) -> None:
        """Count a backward pass once, whichever of the values it starts from."""
        seen: list[bool] = []

        def went(_: Tensor) -> None:
            if not seen:
                seen.append(True)
                self._count(rows)

        for value in (reading.classes, reading.output, *reading.kept.values()):
            if value.requires_grad:
                value.register_hook(went)


def specimen(modality: Modality, number: int = 0, dataset: Dataset | None = None) -> Counted:
    """The default model of a modality with random weights, on its default data or on others."""
    dataset = dataset or dataset_of(modality)
    model = load("model", MODELS[modality]).build(dataset, torch_generator(f"model {number}"))
    return Counted(model, dataset)


def context(dataset: Dataset) -> ToolContext:
    """A small pool, as players get it, beside one sibling."""
    drawn = dataset.sample(POOL, "pool", generator("pool"))
    told = None if drawn.scenes is None else drawn.scenes[list(dataset.factors)]
    pool = Examples(drawn.inputs, drawn.labels, told)
    return ToolContext(dataset, pool, (specimen(dataset.modality, 1, dataset),))


def global_state() -> tuple[bytes, bytes, int]:
    """Where do the global generators of torch, NumPy and Python stand?"""
    numpy_state = np.random.get_state(legacy=False)["state"]
    words = repr({key: np.asarray(value).tolist() for key, value in numpy_state.items()})
    return torch.get_rng_state().numpy().tobytes(), words.encode(), hash(random.getstate())


def undisturbed(act: Callable[..., Any], *given: object) -> Iterator[str]:
    """Call something with what is given; a fault where it moved a global generator."""
    before = global_state()
    act(*given)
    for name, one, other in zip(("torch", "NumPy", "Python"), before, global_state(), strict=True):
        if one != other:
            yield f"moves the global generator of {name}; draw from the one that is handed in"


def weights_digest(model: Specimen) -> str:
    """Which weights are these?"""
    whole = hashlib.sha256()
    for name, value in sorted(model.weights().items()):
        whole.update(name.encode() + value.contiguous().numpy().tobytes())
    return whole.hexdigest()


def same_examples(one: Examples, other: Examples) -> bool:
    """Are these the same inputs under the same labels?"""
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.labels, other.labels)


def copied(rows: Examples) -> Examples:
    """The rows again, in memory of their own."""
    scenes = None if rows.scenes is None else rows.scenes.copy(deep=True)
    return Examples(rows.inputs.clone(), rows.labels.clone(), scenes)
