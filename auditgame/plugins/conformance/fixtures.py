"""What plug-ins are tested with: default data sets, and small models with random weights."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.registry import load, usable
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality
from auditgame.seeds import Seed
from auditgame.specimen import Edit, Reading, Specimen
from auditgame.tools import ToolContext

FIRST = ("storybook", "reviews")
"""Data sets that are tried first: they have factors and need no download."""
MODELS: dict[Modality, str] = {"image": "small_cnn", "text": "gpt2"}
POOL = 20


def generator(use: str) -> np.random.Generator:
    """A NumPy generator, in the same state at every call."""
    return Seed.of(0).child(use).numpy()


def torch_generator(use: str) -> torch.Generator:
    """A torch generator, in the same state at every call."""
    return torch.Generator().manual_seed(Seed.of(0).child(use).integer())


def datasets() -> Iterator[Dataset]:
    """Every data set whose files are on this machine, the default ones first."""
    for name in sorted(usable("dataset"), key=lambda name: (name not in FIRST, name)):
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

    Where an edit adds rows to a pass, these count as well.
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
        """As `Specimen.run`; counts its rows."""
        reading = super().run(inputs, keep, edit, grad, whole)
        rows = max(map(len, (inputs, reading.classes, *reading.kept.values())))
        self._count(rows)
        if grad:
            self._watch(reading, rows)
        return reading

    def randomised(self, stages: int | None, rng: torch.Generator) -> Specimen:
        """As `Specimen.randomised`; passes of the new specimen count here."""
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
    """The default model of a modality with random weights, for its default data set or another."""
    dataset = dataset or dataset_of(modality)
    model = load("model", MODELS[modality]).build(dataset, torch_generator(f"model {number}"))
    return Counted(model, dataset)


def context(dataset: Dataset) -> ToolContext:
    """A small pool of examples, with the factors that players see, and one reference model."""
    drawn = dataset.sample(POOL, "pool", generator("pool"))
    shown = None if drawn.scenes is None else drawn.scenes[list(dataset.factors)]
    pool = Examples(drawn.inputs, drawn.labels, shown)
    return ToolContext(dataset, pool, (specimen(dataset.modality, 1, dataset),))


def global_state() -> tuple[bytes, bytes, int]:
    """The states of the global random generators of torch, NumPy and Python."""
    numpy_state = np.random.get_state(legacy=False)["state"]
    words = repr({key: np.asarray(value).tolist() for key, value in numpy_state.items()})
    return torch.get_rng_state().numpy().tobytes(), words.encode(), hash(random.getstate())


def undisturbed(act: Callable[..., Any], *given: object) -> Iterator[str]:
    """Call a function with these arguments; a fault where it moved a global random generator."""
    before = global_state()
    act(*given)
    for name, one, other in zip(("torch", "NumPy", "Python"), before, global_state(), strict=True):
        if one != other:
            yield f"moves the global generator of {name}; draw from the generator passed in"


def weights_digest(model: Specimen) -> str:
    """A SHA-256 of the weights."""
    whole = hashlib.sha256()
    for name, value in sorted(model.weights().items()):
        whole.update(name.encode() + value.contiguous().numpy().tobytes())
    return whole.hexdigest()


def same_examples(one: Examples, other: Examples) -> bool:
    """Are inputs and labels equal?"""
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.labels, other.labels)


def copied(rows: Examples) -> Examples:
    """A deep copy of the rows."""
    scenes = None if rows.scenes is None else rows.scenes.copy(deep=True)
    return Examples(rows.inputs.clone(), rows.labels.clone(), scenes)
