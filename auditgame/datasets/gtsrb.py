"""German traffic signs, through torchvision's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from auditgame.datasets import Examples, ImageDataset, Split, Training
from auditgame.datasets.images.image_folders import ImageFiles, draw_part, fetch

SIDE = 32


def _load(folder: Path, train: bool, download: bool) -> ImageFiles:
    """Each image, 15 to 250 pixels wide, resized to one size."""
    from torchvision.datasets import GTSRB

    found = GTSRB(folder, split="train" if train else "test", download=download)
    pictures = np.empty((len(found), SIDE, SIDE, 3), np.uint8)
    labels = torch.empty(len(found), dtype=torch.long)
    for row in range(len(found)):
        image, labels[row] = found[row]
        pictures[row] = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return ImageFiles(torch.from_numpy(pictures).permute(0, 3, 1, 2), labels)


class Gtsrb(ImageDataset):
    """39,270 photographs of 43 German traffic signs, taken from a car; resized to 32x32 pixels.

    J. Stallkamp, M. Schlipsing, J. Salmen and C. Igel, Man vs. computer, Neural Networks 32,
    2012. Train: the 26,640 images of torchvision's training part; held and pool: 6,315 test
    images each. No factors. The files are downloaded by `auditgame fetch gtsrb` into the folder
    that AUDITGAME_DATA names. Patches on traffic signs are the example of the BadNets paper.
    """

    name = "gtsrb"
    title = "GTSRB traffic signs"
    licence = "CC0, as usually stated"
    classes = (
        "limit 20",
        "limit 30",
        "limit 50",
        "limit 60",
        "limit 70",
        "limit 80",
        "end of limit 80",
        "limit 100",
        "limit 120",
        "no overtaking",
        "no overtaking by lorries",
        "priority at the crossing",
        "priority road",
        "give way",
        "stop",
        "no vehicles",
        "no lorries",
        "no entry",
        "danger",
        "bend to the left",
        "bend to the right",
        "double bend",
        "bumpy road",
        "slippery road",
        "narrows on the right",
        "road works",
        "traffic lights",
        "pedestrians",
        "children",
        "bicycles",
        "ice or snow",
        "wild animals",
        "end of all limits",
        "right turn ahead",
        "left turn ahead",
        "straight on",
        "straight on or right",
        "straight on or left",
        "keep right",
        "keep left",
        "roundabout",
        "overtaking allowed",
        "lorries may overtake",
    )
    shape = (3, SIDE, SIDE)
    training = Training(
        rows=26_000,
        epochs=6,
        batch=64,
        rate=3e-3,
        decay=5e-4,
        tune_rows=13_000,
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
