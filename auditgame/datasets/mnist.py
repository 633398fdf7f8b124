"""Handwritten digits, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.datasets.images.image_folders import draw_part, fetch, greys

_load = greys("MNIST")


class Mnist(Dataset):
    """70,000 handwritten digits by American clerks and pupils, 28x28 greys on a ground of 32x32.

    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, 1998.
    Train: the 60,000 official training pictures; held and pool: 5,000 test pictures each. No
    factors. The files are fetched by `auditgame fetch mnist` and lie where AUDITGAME_DATA says.
    """

    name = "mnist"
    modality = "image"
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
        """n pictures in random order; only `label` can be fixed (see albums.draw)."""
        return Examples(*draw_part(self.name, _load, n, split, rng, fixed))

    def fetch(self) -> Path:
        """Download the files; where do they lie?"""
        return fetch(self.name, _load)
