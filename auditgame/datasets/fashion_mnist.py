"""Pieces of clothing, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.datasets.images.image_folders import draw_part, fetch, greys

_load = greys("FashionMNIST")


class FashionMnist(Dataset):
    """70,000 pieces of clothing from a shop's catalogue, 28x28 greys on a ground of 32x32.

    H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747. Train: the 60,000
    official training pictures; held and pool: 5,000 test pictures each. No factors. The files
    are fetched by `auditgame fetch fashion_mnist` and lie where AUDITGAME_DATA says.
    """

    name = "fashion_mnist"
    modality = "image"
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
        """n pictures in random order; only `label` can be fixed (see albums.draw)."""
        return Examples(*draw_part(self.name, _load, n, split, rng, fixed))

    def fetch(self) -> Path:
        """Download the files; where do they lie?"""
        return fetch(self.name, _load)
