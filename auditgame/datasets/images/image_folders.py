"""Image data sets in files: torchvision's loaders, folders of images, and drawing rows of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from auditgame import paths
from auditgame.datasets.images.pictures import FORMATS, MAX_BYTES, open_picture, upright_size
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError, Invalid, NotFound

SPLITS = ("train", "held", "pool")
SUFFIXES = (*(f".{name.lower()}" for name in FORMATS), ".jpg")


class ImageFiles(NamedTuple):
    """Images and their labels. pictures: `n c h w`, bytes or floats in [0, 1]; c is 1 or 3."""

    pictures: Tensor
    labels: Int[Tensor, " n"]

    def take(self, rows: slice | np.ndarray) -> ImageFiles:
        """These rows only."""
        return ImageFiles(self.pictures[rows], self.labels[rows])


def draw(
    name: str,
    files: ImageFiles,
    n: int,
    split: str,
    rng: np.random.Generator,
    fixed: dict[str, object],
) -> ImageFiles:
    """n images in random order, as floats in three channels, with their labels.

    A training split that is too small repeats its images; the others return what there is,
    since repeated images would not count as evidence. Only `label` (a class index, or one
    index per row) can be fixed; AuditgameError, naming the data set, for anything else.
    """
    wanted = fixed.get("label")
    unknown = sorted(fixed.keys() - {"label"})
    if unknown:
        raise Invalid(f"data set '{name}' has no factor '{unknown[0]}' to fix; only label")
    n = n if split == "train" else min(n, len(files.labels))
    labels = files.labels.numpy()
    if wanted is None:
        return _as_floats(files.take(_shuffled(np.arange(len(labels)), n, rng)))
    asked = np.broadcast_to(np.asarray(wanted), (n,))
    rows = np.empty(n, dtype=np.int64)
    for index in np.unique(asked):
        here = np.flatnonzero(asked == index)
        candidates = np.flatnonzero(labels == index)
        if not len(candidates):
            most = labels.max(initial=0)
            raise Invalid(f"data set '{name}': label: classes are numbered 0 to {most}")
        rows[here] = _shuffled(candidates, len(here), rng)
    return _as_floats(files.take(rows))


def _as_floats(files: ImageFiles) -> ImageFiles:
    pictures = files.pictures
    if not pictures.is_floating_point():
        pictures = pictures.float() / 255
    return ImageFiles(pictures.expand(-1, 3, -1, -1).contiguous(), files.labels)


def _shuffled(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of these rows in random order; none is repeated before all have been used."""
    rounds = max(1, -(-n // len(rows)))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:n]


def require_split(split: str) -> None:
    """Raise AuditgameError where there is no such split."""
    if split not in SPLITS:
        raise suggest("split", split, SPLITS)


# ------------------------------------------------------------- torchvision's loaders

Loader = Callable[[Path, bool, bool], ImageFiles]
"""Reads the official training part (True) or test part (False) from a folder; the second flag
says whether it may download."""


def greyscale(kind: str) -> Loader:
    """torchvision's loader of this name; its 28x28 images are padded with black to 32x32.

    As for LeNet-5: LeCun, Bottou, Bengio and Haffner 1998.
    """

    def load(folder: Path, train: bool, download: bool) -> ImageFiles:
        import torchvision

        found = getattr(torchvision.datasets, kind)(folder, train=train, download=download)
        return ImageFiles(F.pad(found.data[:, None], (2, 2, 2, 2)), found.targets)

    return load


def draw_part(
    name: str,
    loader: Loader,
    n: int,
    split: str,
    rng: np.random.Generator,
    fixed: dict[str, object],
) -> ImageFiles:
    """n images of a split in random order: see `part` and `draw`."""
    return draw(name, part(name, loader, split), n, split, rng, fixed)


def part(name: str, loader: Loader, split: str) -> ImageFiles:
    """The rows of a split, read without the network.

    train: the official training part. held, pool: every other row of the official test part.
    Raises AuditgameError where the files are missing: from which folder, and how to get them.
    """
    require_split(split)
    folder = paths.data()
    try:
        files = _read(loader, folder, split == "train")
    except (RuntimeError, OSError, ValueError, AssertionError):
        raise NotFound(
            f"data set '{name}': no complete copy in {folder}; with a network connection, run "
            f"'auditgame fetch {name}', or name another folder in AUDITGAME_DATA"
        ) from None
    return files if split == "train" else files.take(slice(split == "pool", None, 2))


@functools.lru_cache(maxsize=4)
def _read(loader: Loader, folder: Path, train: bool) -> ImageFiles:
    return loader(folder, train, False)


def fetch(name: str, loader: Loader) -> Path:
    """Download both parts into the data folder, and return it."""
    folder = paths.data()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for train in (True, False):
            loader(folder, train, True)
    except (RuntimeError, OSError, ValueError, AssertionError):
        raise Invalid(
            f"data set '{name}': could not be downloaded into {folder}; check the network "
            "connection and that the folder can be written to"
        ) from None
    return folder


# --------------------------------------------------------------- folders of images


class ClassFolders(NamedTuple):
    """The image files in a folder. names: its classes, one folder each; none if it has no folders.

    labels: index into names, or -1.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]


def list_folder(folder: Path) -> ClassFolders:
    """The image files in a folder, by name only; none is opened.

    Either each class has a folder of its own, at least two of them, or all images are in the
    folder itself; AuditgameError otherwise.
    """
    where = f"images '{folder}'"
    if not folder.is_dir():
        raise NotFound(f"{where}: there is no such folder")
    flat = tuple(path for path in sorted(folder.iterdir()) if _is_picture(path))
    inside = {entry.name: _pictures_in(entry) for entry in sorted(folder.iterdir())}
    inside = {name: files for name, files in inside.items() if files}
    if flat and inside:
        raise Invalid(f"{where}: has images both in it and in '{min(inside)}'; use one of the two")
    if not flat and not inside:
        raise Invalid(f"{where}: has no images ({', '.join(SUFFIXES)})")
    if len(inside) == 1:
        raise Invalid(
            f"{where}: there is one class only, '{min(inside)}'; give each of two classes "
            "or more its own folder, or name the folder that holds the images"
        )
    labels = [k for k, files in enumerate(inside.values()) for _ in files]
    files = flat or tuple(path for files in inside.values() for path in files)
    return ClassFolders(tuple(inside), files, tuple(labels) or (-1,) * len(flat))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(filter(_is_picture, folder.rglob("*"))) if folder.is_dir() else []


def read_pictures(files: Sequence[Path], shape: tuple[int, ...]) -> Tensor:
    """The images, upright, in RGB, cropped to the centre at this shape, as bytes `n 3 h w`."""
    pictures = torch.empty(len(files), *shape, dtype=torch.uint8)
    for row, path in enumerate(files):
        with _named(path), path.open("rb") as file:
            pictures[row] = (open_picture(file.read(MAX_BYTES + 1), shape) * 255).round()
    return pictures


def common_size(files: Sequence[Path]) -> tuple[int, int] | None:
    """Height and width that all these images share; None where they differ."""
    sizes = set()
    for path in files:
        with _named(path):
            sizes.add(upright_size(path))
    return sizes.pop() if len(sizes) == 1 else None


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors about an image, with the name of its file."""
    try:
        yield
    except OSError as error:
        raise Invalid(f"images '{path}': {error.strerror}") from None
    except AuditgameError as error:
        raise Invalid(f"images '{path}': {str(error).removeprefix('picture: ')}") from None
