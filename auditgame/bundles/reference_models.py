"""Reference models: clean models of the same data set and architecture."""

from __future__ import annotations

import functools
from pathlib import Path

from auditgame import bundles, paths
from auditgame.bundles import bundle_io
from auditgame.datasets import Dataset
from auditgame.schema.errors import Unavailable
from auditgame.specimen import Specimen

WANTED = 3
"""Reference models without which nothing is measured."""


def reference_folders(dataset: str, model: str) -> list[Path]:
    """The folders of the reference models of a data set and model, shipped ones first."""
    found: dict[str, Path] = {}
    for folder in paths.references():
        for path in (folder / f"{dataset}.{model}").glob("[0-9]*"):
            found.setdefault(path.name, path)
    return [found[number] for number in sorted(found)]


def read_references(dataset_name: str, model: str, dataset: Dataset) -> tuple[Specimen, ...]:
    """The reference models, digests checked; AuditgameError where there are fewer than three."""
    folders = reference_folders(dataset_name, model)
    if len(folders) < WANTED:
        raise Unavailable(
            f"{len(folders)} reference models of {dataset_name} x {model} found, {WANTED} needed; "
            f"train them with 'auditgame references {dataset_name} {model}'"
        )
    return tuple(_read(str(folder), model, dataset.name) for folder in folders)


@functools.lru_cache(maxsize=32)
def _read(folder: str, model: str, dataset_name: str) -> Specimen:
    from auditgame.registry import load

    path = Path(folder)
    files = bundles.read_reference(path).files
    return bundle_io.read_specimen(path, model, load("dataset", dataset_name)(), files)
