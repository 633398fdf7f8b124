"""The user's own images, from a folder."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from auditgame import paths
from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import (
    ClassFolders,
    ImageFiles,
    draw,
    list_folder,
    read_pictures,
    require_split,
)
from auditgame.schema.errors import Invalid

SHARES = (0.7, 0.9)
"""Where in each class the training rows end, and where the held-out ones end."""
FEWEST = 10
"""Least number of images of a class."""


def _folder() -> Path:
    folder = paths.images()
    if folder is None:
        raise Invalid(
            "data set 'image_folder': AUDITGAME_IMAGES is not set; set it to a folder that has "
            "one folder of images for each class"
        )
    return folder


@functools.lru_cache(maxsize=4)
def _listed(folder: Path) -> ClassFolders:
    found = list_folder(folder)
    if not found.names:
        raise Invalid(f"images '{folder}': put the images of each class into a folder of its own")
    for k, name in enumerate(found.names):
        if found.labels.count(k) < FEWEST:
            raise Invalid(
                f"images '{folder}': class '{name}' has {found.labels.count(k)} images; "
                f"each needs {FEWEST} at least"
            )
    return found


@functools.lru_cache(maxsize=2)
def _splits(folder: Path, shape: tuple[int, ...]) -> dict[str, ImageFiles]:
    """All images; each class is divided in the same shares, in a fixed random order."""
    found = _listed(folder)
    whole = ImageFiles(read_pictures(found.files, shape), torch.tensor(found.labels))
    rng, parts = np.random.default_rng(0), []
    for k in range(len(found.names)):
        rows = rng.permutation(np.flatnonzero(whole.labels.numpy() == k))
        parts.append(np.split(rows, [round(share * len(rows)) for share in SHARES]))
    train, held, pool = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    return {"train": whole.take(train), "held": whole.take(held), "pool": whole.take(pool)}


class _ClassNames:
    """The names of the folders, read on access, since they depend on the environment."""

    def __get__(self, instance: object, owner: type) -> tuple[str, ...]:
        return _listed(_folder()).names


class ImageFolder(ImageDataset):
    """Your own images, in a folder that AUDITGAME_IMAGES names: one folder in it for each class.

    Images of any size and format are turned upright, cropped to the centre and resized to
    48x48 pixels in colour. Each class is divided in fixed shares: 70 % train, 20 % held,
    10 % pool; it needs 10 images at least, and several hundred to be learnt. No factors.
    """

    name = "image_folder"
    title = "Your own images"
    licence = "as the owner of the images states"
    classes = cast(Any, _ClassNames())
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
        """n images in random order; only `label` can be fixed (see `image_folders.draw`)."""
        require_split(split)
        files = _splits(_folder(), self.shape)[split]
        return Examples(*draw(self.name, files, n, split, rng, fixed))
