"""Real handwritten digits that come with scikit-learn: no download."""

from __future__ import annotations

import functools

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from auditgame.catalog import suggest
from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.types import AuditgameError

TRAIN_ROWS, HELD_ROWS = 1_100, 580
SPLIT_SEED = 1998
"""Which rows are whose is the same in every game; 1998 is the year the data were given."""


@functools.cache
def _splits() -> dict[str, Examples]:
    """All pictures, smoothly enlarged, in three parts with the classes in equal shares."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    images = F.interpolate(images, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    whole = Examples(images.repeat(1, 3, 1, 1), torch.from_numpy(digits.target).long())
    train, rest = _divide(np.arange(len(whole)), digits.target, TRAIN_ROWS)
    held, pool = _divide(rest, digits.target, HELD_ROWS)
    return {"train": whole.take(train), "held": whole.take(held), "pool": whole.take(pool)}


def _divide(rows: np.ndarray, target: np.ndarray, first: int) -> list[np.ndarray]:
    return train_test_split(rows, train_size=first, stratify=target[rows], random_state=SPLIT_SEED)


class Digits(Dataset):
    """1,797 handwritten digits by 43 people, 8x8 pixels in 17 greys, enlarged to 32x32.

    The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
    1998, UCI Machine Learning Repository, doi:10.24432/C50P49), as scikit-learn ships it.
    White on black, the same in all three channels. Splits are fixed: 1,100 train, 580 held,
    117 pool. No factors: real pictures cannot be drawn again with one thing changed.
    """

    name = "digits"
    modality = "image"
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
        """n pictures in random order. The training split is gone through again where it is too
        small; held and pool give what there is, since a count of repeats would prove nothing.

        Only `label` (a class index, or one index per row) can be fixed.
        """
        whole = self._split(split)
        label = fixed.pop("label", None)
        if fixed:
            raise AuditgameError(
                f"data set 'digits' has no factor '{next(iter(fixed))}' to fix; only label"
            )
        if split != "train":
            n = min(n, len(whole))
        if label is None:
            return whole.take(_shuffled(np.arange(len(whole)), n, rng))
        wanted = np.broadcast_to(np.asarray(label), (n,))
        rows = np.empty(n, dtype=np.int64)
        for index in np.unique(wanted):
            places = np.flatnonzero(wanted == index)
            candidates = np.flatnonzero(whole.labels.numpy() == index)
            rows[places] = _shuffled(candidates, len(places), rng)
        return whole.take(rows)

    def _split(self, split: str) -> Examples:
        if split not in _splits():
            raise suggest("split", split, _splits())
        return _splits()[split]


def _shuffled(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of these rows in random order, none twice before all came once."""
    if not len(rows):
        raise AuditgameError("data set 'digits': label: classes are numbered 0 to 9")
    rounds = max(1, -(-n // len(rows)))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:n]
