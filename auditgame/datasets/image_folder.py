"""Your own pictures."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from auditgame import paths
from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.datasets.images.image_folders import (
    ClassFolders,
    ImageFiles,
    draw,
    list_folder,
    read_pictures,
    require_split,
)
from auditgame.schema.errors import AuditgameError

SHARES = (0.7, 0.9)
"""Where in each class the training rows end, and the held ones."""
FEWEST = 10
"""Pictures that each class must have."""


def _folder() -> Path:
    folder = paths.images()
    if folder is None:
        raise AuditgameError(
            "data set 'image_folder': AUDITGAME_IMAGES is not set; let it name a folder that "
            "holds one folder of pictures for each class"
        )
    return folder


@functools.lru_cache(maxsize=4)
def _listed(folder: Path) -> ClassFolders:
    found = list_folder(folder)
    if not found.names:
        raise AuditgameError(f"images '{folder}': give each class a folder of its own")
    for k, name in enumerate(found.names):
        if found.labels.count(k) < FEWEST:
            raise AuditgameError(
                f"images '{folder}': class '{name}' has {found.labels.count(k)} pictures; "
                f"each needs {FEWEST}"
            )
    return found


@functools.lru_cache(maxsize=2)
def _splits(folder: Path, shape: tuple[int, ...]) -> dict[str, ImageFiles]:
    """All pictures; each class is dealt out in the same shares, in a fixed random order."""
    found = _listed(folder)
    whole = ImageFiles(read_pictures(found.files, shape), torch.tensor(found.labels))
    rng, parts = np.random.default_rng(0), []
    for k in range(len(found.names)):
        rows = rng.permutation(np.flatnonzero(whole.labels.numpy() == k))
        parts.append(np.split(rows, [round(share * len(rows)) for share in SHARES]))
    train, held, pool = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    return {"train": whole.take(train), "held": whole.take(held), "pool": whole.take(pool)}


class _Names:
    """The names of the folders, read when somebody asks: the class itself takes no arguments."""

    def __get__(self, instance: object, owner: type) -> tuple[str, ...]:
        return _listed(_folder()).names


class ImageFolder(Dataset):
    """Your own pictures, in a folder that AUDITGAME_IMAGES names: one folder in it for each class.

    Pictures of any size and kind are turned upright, cropped to the middle and brought to
    48x48 pixels in colour. Each class is dealt out in fixed shares: 70 % train, 20 % held,
    10 % pool; it needs 10 pictures at least, and several hundred to be learnt. No factors.
    """

    name = "image_folder"
    modality = "image"
    licence = "whatever the owner of the pictures says"
    classes = cast(Any, _Names())
    shape = (3, 48, 48)
    training = Training(
        rows=6_000,
        epochs=4,
        batch=32,
        rate=3e-3,
        decay=5e-4,
        tune_rows=6_000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
        augment="shift",
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n pictures in random order; only `label` can be fixed (see albums.draw)."""
        require_split(split)
        album = _splits(_folder(), self.shape)[split]
        return Examples(*draw(self.name, album, n, split, rng, fixed))
