"""Greyscale images of clothing, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import draw_part, fetch, greyscale

_load = greyscale("FashionMNIST")


class FashionMnist(ImageDataset):
    """70,000 greyscale images of clothing from a shop's catalogue, 28x28 padded to 32x32 pixels.

    H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747. Train: the 60,000
    official training images; held and pool: 5,000 test images each. No factors. The files are
    downloaded by `auditgame fetch fashion_mnist` into the folder that AUDITGAME_DATA names.
    """

    name = "fashion_mnist"
    title = "Fashion-MNIST"
    licence = "MIT"
    classes = (
        "t-shirt",
        "trousers",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    shape = (3, 32, 32)
    training = Training(
        rows=20_000,
        epochs=4,
        batch=64,
        rate=3e-3,
        decay=5e-4,
        tune_rows=10_000,
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
