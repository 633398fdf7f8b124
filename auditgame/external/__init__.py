"""External networks: sessions on models that were built and trained elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, ImageDataset, Split
from auditgame.datasets.images.image_folders import (
    ClassFolders,
    ImageFiles,
    common_size,
    draw,
    list_folder,
    read_pictures,
)
from auditgame.external.architecture import PREFIX, Architecture, find_architecture, published_file
from auditgame.external.checkpoint import load_weights, read_weights
from auditgame.external.external_network import ExternalNetwork
from auditgame.external.external_session import ExternalSession, use
from auditgame.external.language_models import load_language_model
from auditgame.schema.errors import AuditgameError, Invalid, NotFound
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext

__all__ = ["ExternalSession", "load", "load_language_model", "use"]

MOST = 400
"""The most pictures that are taken from a folder by default."""
PUBLISHED = "pretrained"
"""Given instead of a file: the weights that torchvision publishes."""


def load(
    model: str,
    images: Path,
    weights: str | None = None,
    normalise: str | None = None,
    side: int | None = None,
    most: int = MOST,
) -> ExternalSession:
    """A session on an image network that was built and trained elsewhere.

    model: `torchvision:NAME` or `FILE.py:FUNCTION`. images: a folder of pictures, or of one
    folder for each class. weights: a file, or `pretrained` for those of torchvision.
    normalise: see `architecture.parse_normalisation`. side: of the pictures, in pixels. most:
    the most pictures taken.
    Raises AuditgameError, naming what does not fit.
    """
    path = _weights_file(model, weights)
    tensors = read_weights(path) if path else None
    found = find_architecture(model, tensors, normalise)
    if tensors is not None:
        load_weights(found.network, tensors, f"weights '{path}' for {model}")
    listed = _spread(list_folder(images), most)
    shape = _shape(found, listed, side)
    network = _wrapped(found, shape, model)
    classes, labels = _name_classes(listed, found.classes, network.classes, images)
    pictures = read_pictures(listed.files, shape)
    specimen = Specimen(network, _dataset(ImageFiles(pictures, labels), classes))
    notes = [] if path else ["No weights were given: this network is untrained."]
    if not listed.names:
        answers = specimen.predict(pictures.float() / 255)
        specimen = Specimen(network, _dataset(ImageFiles(pictures, answers), classes))
        notes.append("The pictures have no class folders: labels are the network's own answers.")
    examples = specimen.dataset.sample(len(pictures), "pool", np.random.default_rng(0))
    return ExternalSession(specimen, ToolContext(specimen.dataset, examples), tuple(notes))


def _weights_file(model: str, weights: str | None) -> Path | None:
    if weights != PUBLISHED:
        return Path(weights) if weights else None
    if not model.startswith(PREFIX):
        raise Invalid(f"weights '{PUBLISHED}': only torchvision's networks have them")
    path = published_file(model.removeprefix(PREFIX))
    if not path.is_file():
        raise NotFound(
            f"weights '{PUBLISHED}': not in {path.parent}; fetch them, with a network connection, "
            f"by 'auditgame fetch {model}'"
        )
    return path


def _spread(listed: ClassFolders, most: int) -> ClassFolders:
    """At most so many of the pictures, spread evenly over all of them."""
    n = len(listed.files)
    rows = np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
    files, labels = ([column[row] for row in rows] for column in listed[1:])
    return ClassFolders(listed.names, tuple(files), tuple(labels))


def _shape(found: Architecture, listed: ClassFolders, side: int | None) -> tuple[int, ...]:
    side = side or found.side
    size = (side, side) if side else common_size(listed.files)
    if size is None:
        raise Invalid("size: the pictures differ in size; name the size to show them at")
    return (3, *size)


def _wrapped(found: Architecture, shape: tuple[int, ...], model: str) -> ExternalNetwork:
    try:
        return ExternalNetwork(found.network, shape, found.normalisation)
    except Exception as error:
        size = "x".join(map(str, shape))
        reason = str(error) if isinstance(error, AuditgameError) else _in_short(error)
        raise Invalid(f"model '{model}': a picture of {size} does not fit: {reason}") from None


def _in_short(error: Exception) -> str:
    """The network's own code may raise anything: its kind, and the first words of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _name_classes(
    listed: ClassFolders, known: tuple[str, ...], count: int, images: Path
) -> tuple[tuple[str, ...], torch.Tensor]:
    """The names of the network's classes, and a label for each picture (-1: unknown).

    Folders are named after the known classes or their numbers; or there is one for each
    class, in the network's order.
    """
    numbered = tuple(f"class {k}" for k in range(count))
    names = known if len(known) == count else numbered
    digits = tuple(map(str, range(count)))
    for candidates in (names, numbered, digits):
        if set(listed.names) <= set(candidates):
            index = [candidates.index(name) for name in listed.names]
            return names, torch.tensor([index[k] if k >= 0 else -1 for k in listed.labels])
    if len(listed.names) != count:
        raise Invalid(
            f"images '{images}': {len(listed.names)} folders, and the network has {count} classes; "
            f"name them 0 to {count - 1}, or have one for each class, in the network's order"
        )
    return listed.names, torch.tensor(listed.labels)


def _dataset(images: ImageFiles, classes: tuple[str, ...]) -> Dataset:
    """A data set of these pictures; every split has all of them, for nothing is trained."""

    class Pictures(ImageDataset):
        """The pictures of one external session."""

        name = "image_folder"
        title = "Your own images"
        licence = "that of the pictures"
        shape = tuple(images.pictures.shape[1:])

        def sample(
            self, n: int, split: Split, rng: np.random.Generator, **fixed: object
        ) -> Examples:
            return Examples(*draw(self.name, images, n, "pool", rng, fixed))

    Pictures.classes = classes
    return Pictures()
