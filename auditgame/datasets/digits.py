"""Real handwritten digits that are part of scikit-learn: no download."""

from __future__ import annotations

import functools

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import ImageFiles, draw, require_split

TRAIN_ROWS, HELD_ROWS = 1_100, 580
SPLIT_SEED = 1998
"""The splits are the same in every game; 1998 is the year of the data."""


@functools.cache
def _splits() -> dict[str, ImageFiles]:
    """All images, enlarged by bicubic interpolation, in three splits with equal class shares."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    images = F.interpolate(images, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    whole = ImageFiles(images, torch.from_numpy(digits.target).long())
    train, rest = _divide(np.arange(len(images)), digits.target, TRAIN_ROWS)
    held, pool = _divide(rest, digits.target, HELD_ROWS)
    return {"train": whole.take(train), "held": whole.take(held), "pool": whole.take(pool)}


def _divide(rows: np.ndarray, target: np.ndarray, first: int) -> list[np.ndarray]:
    return train_test_split(rows, train_size=first, stratify=target[rows], random_state=SPLIT_SEED)


class Digits(ImageDataset):
    """1,797 handwritten digits by 43 people, 8x8 pixels in 17 grey levels, enlarged to 32x32.

    The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
    1998, UCI Machine Learning Repository, doi:10.24432/C50P49), as in scikit-learn.
    White on black, the same in all three channels. Splits are fixed: 1,100 train, 580 held,
    117 pool. No factors.
    """

    name = "digits"
    title = "Digits (scikit-learn)"
    licence = "CC BY 4.0"
    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    shape = (3, 32, 32)
    training = Training(
        rows=2_200,
        epochs=4,
        batch=32,
        rate=3e-3,
        decay=5e-4,
        tune_rows=2_200,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
        augment="shift",
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n images in random order; only `label` can be fixed (see `image_folders.draw`)."""
        require_split(split)
        return Examples(*draw(self.name, _splits()[split], n, split, rng, fixed))
