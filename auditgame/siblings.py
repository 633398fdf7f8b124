"""The clean models of the same data set and model, which anchor every number."""

from __future__ import annotations

import functools
from pathlib import Path

from auditgame import bundle, contents, places
from auditgame.datasets import Dataset
from auditgame.specimen import Specimen
from auditgame.types import AuditgameError

WANTED = 3


def sibling_folders(dataset: str, model: str) -> list[Path]:
    """Where do the siblings of this data set and model lie? By number, shipped ones first."""
    found: dict[str, Path] = {}
    for folder in places.references():
        for path in (folder / f"{dataset}.{model}").glob("[0-9]*"):
            found.setdefault(path.name, path)
    return [found[number] for number in sorted(found)]


def read_siblings(dataset_name: str, model: str, dataset: Dataset) -> tuple[Specimen, ...]:
    """The siblings, digests checked; AuditgameError where there are fewer than three."""
    folders = sibling_folders(dataset_name, model)
    if len(folders) < WANTED:
        raise AuditgameError(
            f"{len(folders)} clean siblings of {dataset_name} x {model} found, {WANTED} needed; "
            f"train them with 'auditgame references {dataset_name} {model}'"
        )
    return tuple(_read(str(folder), model, dataset.name) for folder in folders)


@functools.lru_cache(maxsize=32)
def _read(folder: str, model: str, dataset_name: str) -> Specimen:
    from auditgame.catalog import load

    path = Path(folder)
    files = bundle.read_reference(path).files
    return contents.read_specimen(path, model, load("dataset", dataset_name)(), files)
