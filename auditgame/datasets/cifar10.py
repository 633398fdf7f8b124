"""Small photographs of animals and vehicles, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import ImageFiles, draw_part, fetch


def _load(folder: Path, train: bool, download: bool) -> ImageFiles:
    from torchvision.datasets import CIFAR10

    found = CIFAR10(folder, train=train, download=download)
    pictures = torch.from_numpy(found.data).permute(0, 3, 1, 2)
    return ImageFiles(pictures, torch.tensor(found.targets))


class Cifar10(ImageDataset):
    """60,000 photographs of animals and vehicles, 32x32 pixels in colour.

    A. Krizhevsky, Learning multiple layers of features from tiny images, 2009. Train: the
    50,000 official training images; held and pool: 5,000 test images each. No factors. The
    files are downloaded by `auditgame fetch cifar10` into the folder that AUDITGAME_DATA names.
    """

    name = "cifar10"
    title = "CIFAR-10"
    licence = "none stated; free for research as its page says"
    classes = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    shape = (3, 32, 32)
    training = Training(
        rows=50_000,
        epochs=12,
        batch=64,
        rate=3e-3,
        decay=5e-4,
        tune_rows=20_000,
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
