"""Handwritten digits, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import draw_part, fetch, greyscale

_load = greyscale("MNIST")


class Mnist(ImageDataset):
    """70,000 handwritten digits by American clerks and pupils, 28x28 padded to 32x32 pixels.

    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, 1998.
    Train: the 60,000 official training images; held and pool: 5,000 test images each. No
    factors. The files are downloaded by `auditgame fetch mnist` into the folder that
    AUDITGAME_DATA names.
    """

    name = "mnist"
    title = "MNIST"
    licence = "CC BY-SA 3.0, as usually stated"
    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    shape = (3, 32, 32)
    training = Training(
        rows=6_000,
        epochs=3,
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
        return Examples(*draw_part(self.name, _load, n, split, rng, fixed))

    def fetch(self) -> Path:
        """Download the files; returns their folder."""
        return fetch(self.name, _load)
