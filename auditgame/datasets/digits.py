"""Real handwritten digits that come with the game: no download."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import ImageFiles, draw, require_split

FILE = Path(__file__).parent / "images" / "digits.npz"
"""The pictures `n 8 8` in 17 grey levels and their labels, split after split.

Read from scikit-learn's copy, which takes seconds to import; a test makes the file again.
"""
ROWS = {"train": 1_100, "held": 580, "pool": 117}


@functools.cache
def _splits() -> dict[str, ImageFiles]:
    """All pictures, enlarged by bicubic interpolation, in three splits with equal class shares."""
    with np.load(FILE, allow_pickle=False) as content:
        images, labels = (torch.from_numpy(content[name]) for name in ("images", "labels"))
    images = images.float()[:, None] / 16
    images = F.interpolate(images, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    parts = zip(images.split(list(ROWS.values())), labels.split(list(ROWS.values())), strict=True)
    return {
        name: ImageFiles(pictures, targets.long())
        for name, (pictures, targets) in zip(ROWS, parts, strict=True)
    }


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
