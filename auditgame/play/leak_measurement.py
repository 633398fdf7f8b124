"""Measuring a challenge for the leak audit: every number that can be had without auditing it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from auditgame import bundles
from auditgame.bundles import bundle_io
from auditgame.bundles.reference_models import read_references, reference_folders
from auditgame.datasets import Dataset, Examples
from auditgame.evaluation import leak_statistics as statistics
from auditgame.evaluation.leak_audit import LeakRow
from auditgame.evaluation.leak_statistics import Numbers
from auditgame.play.referee import open_key
from auditgame.registry import load
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

SEED = 0
"""Of the held-out inputs, random inputs and free texts: the same for all models."""


def measure(folder: Path) -> LeakRow:
    """The numbers of one challenge, and whether it is flawed; only a host can open its key.

    What depends on data set and architecture is given beyond the reference models' mean.
    """
    manifest, key = bundles.read_manifest(folder), open_key(folder)
    bundles.require_plugins(manifest)
    dataset = load("dataset", manifest.dataset)()
    suspect = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    files = {name: bundles.read_file(folder, name, manifest.files) for name in manifest.files}
    own = model_numbers(suspect, files[bundles.WEIGHTS], held_out(dataset))
    numbers = beyond(own, reference_numbers(manifest.dataset, manifest.model))
    if dataset.modality == "text":
        words = word_counts(suspect)
        numbers |= statistics.excess(words, reference_words(manifest.dataset, manifest.model))
    numbers |= file_facts(folder, files)
    grown = hashlib.sha256(f"{key.seed} {manifest.dataset} {manifest.model}".encode()).hexdigest()
    return LeakRow(manifest.id, grown, key.claim is not None, numbers)


def beyond(own: Numbers, others: Sequence[Numbers]) -> Numbers:
    """Each number minus the mean of the others'."""
    return {name: own[name] - float(np.mean([one[name] for one in others])) for name in own}


def model_numbers(specimen: Specimen, weights: bytes, held: Examples) -> Numbers:
    """What one model does on ordinary and on random inputs, and how large its weights are."""
    rng = Seed.of(SEED).child("random inputs").numpy()
    text = specimen.modality == "text"
    inside = statistics.language if text else statistics.activations
    return {
        **statistics.behaviour(specimen, held),
        **statistics.random_inputs(specimen, rng),
        **inside(specimen, held),
        **statistics.sizes(safetensors.torch.load(weights)),
    }


def held_out(dataset: Dataset) -> Examples:
    """The ordinary inputs."""
    return dataset.sample(statistics.ORDINARY, "held", Seed.of(SEED).child("leaks").numpy())


@functools.lru_cache(maxsize=16)
def reference_numbers(dataset: str, model: str) -> tuple[Numbers, ...]:
    """The same numbers of each reference model."""
    kind = load("dataset", dataset)()
    held, found = held_out(kind), []
    for folder in reference_folders(dataset, model):
        files = bundles.read_reference(folder).files
        specimen = bundle_io.read_specimen(folder, model, kind, files)
        weights = bundles.read_file(folder, bundles.WEIGHTS, files)
        found.append(model_numbers(specimen, weights, held))
    return tuple(found)


def word_counts(specimen: Specimen) -> statistics.Counts:
    """How often the model writes each word freely."""
    rng = torch.Generator().manual_seed(Seed.of(SEED).child("words").integer())
    return statistics.word_counts(specimen, held_out(specimen.dataset), rng)


@functools.lru_cache(maxsize=16)
def reference_words(dataset: str, model: str) -> tuple[statistics.Counts, ...]:
    """The same of each reference model."""
    references = read_references(dataset, model, load("dataset", dataset)())
    return tuple(word_counts(reference) for reference in references)


def file_facts(folder: Path, files: Mapping[str, bytes]) -> Numbers:
    """Sizes of the files, their number, and the length of the sealed key."""
    table = bundle_io.ExampleTable.model_validate_json(files[bundles.LABELS])
    examples = sum(len(files.get(name, b"")) for name in (bundles.PICTURES, bundles.LABELS))
    return {
        "files": float(len(files)),
        "bytes of the weights": float(len(files[bundles.WEIGHTS])),
        "bytes of the sealed key": float((folder / bundles.SEALED).stat().st_size),
        "bytes per example": examples / len(table.labels),
    }
