"""Measuring a challenge for the leak audit: every number that can be had without auditing it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch

from auditgame import bundles
from auditgame.bundles import bundle_io
from auditgame.bundles.reference_models import read_references
from auditgame.evaluation import leak_statistics as statistics
from auditgame.evaluation.leak_audit import LeakRow
from auditgame.play.referee import open_key
from auditgame.registry import load
from auditgame.seeds import Seed
from auditgame.specimen import Specimen


def measure(folder: Path) -> LeakRow:
    """The numbers of one challenge, and whether it is flawed; only a host can open its key."""
    manifest, key = bundles.read_manifest(folder), open_key(folder)
    bundles.require_plugins(manifest)
    dataset = load("dataset", manifest.dataset)()
    suspect = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    references = read_references(manifest.dataset, manifest.model, dataset)
    files = {name: bundles.read_file(folder, name, manifest.files) for name in manifest.files}
    held = dataset.sample(statistics.ORDINARY, "held", Seed.of(0).child("leaks").numpy())

    def behaviour(specimen: Specimen) -> statistics.Numbers:
        rng = Seed.of(0).child("random inputs").numpy()
        return {
            **statistics.behaviour(specimen, held),
            **statistics.random_inputs(specimen, rng),
            **(statistics.language(specimen, held) if dataset.modality == "text" else {}),
        }

    numbers = statistics.beyond(behaviour, suspect, references)
    if dataset.modality == "text":
        numbers |= statistics.generation(suspect, references, held, seed=0)
    else:
        numbers |= statistics.activations(suspect, held)
    numbers |= statistics.sizes(safetensors.torch.load(files[bundles.WEIGHTS]))
    numbers |= file_facts(folder, files)
    grown = hashlib.sha256(f"{key.seed} {manifest.dataset} {manifest.model}".encode()).hexdigest()
    return LeakRow(manifest.id, grown, key.claim is not None, numbers)


def file_facts(folder: Path, files: Mapping[str, bytes]) -> statistics.Numbers:
    """Sizes of the files, their number, and the length of the sealed key."""
    examples = [len(data) for name, data in files.items() if name in (bundles.PICTURES,)]
    texts = [len(data) for name, data in files.items() if name == bundles.LABELS]
    table = bundle_io.ExampleTable.model_validate_json(files[bundles.LABELS])
    return {
        "files": float(len(files)),
        "bytes of the weights": float(len(files[bundles.WEIGHTS])),
        "bytes of the brief": float(len(files[bundles.BRIEF])),
        "bytes of the sealed key": float((folder / bundles.SEALED).stat().st_size),
        "bytes per example": float(np.sum(examples + texts)) / len(table.labels),
    }
