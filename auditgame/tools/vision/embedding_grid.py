"""Activations embedded in two dimensions (PCA, then t-SNE), binned into squares."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen

COMPONENTS = 50
"""How many principal components t-SNE starts from."""
PATCHES = 4
"""How many patches show a cell, two by two."""


class Points(NamedTuple):
    """One activation of each image.

    value: the activation. place: its position (row, column). size: of the layer's map. part:
    its attribution to each class logit (activation times gradient), above the mean position's.
    answers: the model's answers.
    """

    value: Float[Tensor, "n u"]
    place: Int[Tensor, "n 2"]
    size: tuple[int, int]
    part: Float[Tensor, "n k"]
    answers: Int[Tensor, " n"]


class Cell(NamedTuple):
    """A square of the atlas: its points, those nearest to their mean, the class they raise."""

    rows: Int[Tensor, " m"]
    nearest: list[int]
    label: int
    part: float


def points(
    specimen: Specimen, images: Float[Tensor, "n c h w"], site: str, rng: torch.Generator
) -> Points:
    """One activation of each image, at a random position away from the border."""
    reading = specimen.run(images, grad=site)
    value = reading.inputs
    n, height, width = len(value), value.shape[2], value.shape[3]
    place = torch.stack([_inner(height, n, rng), _inner(width, n, rng)], 1)
    rows = torch.arange(n)
    here = (rows, slice(None), place[:, 0], place[:, 1])
    last = reading.classes.shape[1] - 1
    slopes = [
        torch.autograd.grad(reading.classes[:, k].sum(), value, retain_graph=k < last)[0][here]
        for k in range(last + 1)
    ]
    chosen = value.detach()[here]
    part = torch.stack([(chosen * slope).sum(1) for slope in slopes], 1)
    return Points(chosen, place, (height, width), part, reading.classes.detach().argmax(1))


def _inner(length: int, n: int, rng: torch.Generator) -> Int[Tensor, " n"]:
    border = int(length > 2)
    return torch.randint(border, length - border, (n,), generator=rng)


def joined(parts: list[Points]) -> Points:
    """All points together; attributions less those of the mean position."""
    part = torch.cat([found.part for found in parts])
    return Points(
        torch.cat([found.value for found in parts]),
        torch.cat([found.place for found in parts]),
        parts[0].size,
        part - part.mean(0),
        torch.cat([found.answers for found in parts]),
    )


def layout(values: Float[Tensor, "n u"], seed: int) -> Float[Tensor, "n 2"]:
    """Coordinates in the unit square, similar points near each other: PCA, then t-SNE.

    AuditgameError where all points are the same.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if (values == values[0]).all():
        raise Invalid("site: is the same for all images; choose another layer")
    flat = F.pad(values, (0, max(0, 2 - values.shape[1]))).double().numpy()
    with threadpool_limits(limits=1):
        if min(flat.shape) > COMPONENTS:
            flat = PCA(COMPONENTS, random_state=seed).fit_transform(flat)
        perplexity = min(30.0, (len(flat) - 1) / 3)
        spots = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(flat)
    found = torch.from_numpy(spots).float()
    low, high = found.amin(0), found.amax(0)
    return (found - low) / (high - low).clamp(min=1e-9)


def squares(spots: Tensor, found: Points, grid: int) -> dict[tuple[int, int], Cell]:
    """The squares that are not empty, by (row, column)."""
    where = (spots * grid).long().clamp(max=grid - 1)
    cells = {}
    for y in range(grid):
        for x in range(grid):
            rows = ((where[:, 0] == x) & (where[:, 1] == y)).nonzero()[:, 0]
            if len(rows):
                mean, part = found.value[rows].mean(0), found.part[rows].mean(0)
                order = (found.value[rows] - mean).norm(dim=1).argsort(stable=True)
                nearest = rows[order][:PATCHES].tolist()
                label = int(part.argmax())
                cells[y, x] = Cell(rows, nearest, label, float(part[label]))
    return cells
