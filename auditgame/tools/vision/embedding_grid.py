"""A map of activations on which like lies by like, cut into squares."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

WHOLE = 50
"""t-SNE starts from so many principal directions."""
PATCHES = 4
"""So many patches stand for a cell, two by two."""


class Points(NamedTuple):
    """One activation of each picture.

    value: the activation. place: where it was (row, column). size: of the map. part: its
    share of each class logit (activation times gradient), beyond the mean place's. said:
    the model's answer.
    """

    value: Float[Tensor, "n u"]
    place: Int[Tensor, "n 2"]
    size: tuple[int, int]
    part: Float[Tensor, "n k"]
    said: Int[Tensor, " n"]


class Cell(NamedTuple):
    """A square of the atlas: its points, those nearest their mean, the class they speak for."""

    rows: Int[Tensor, " m"]
    nearest: list[int]
    label: int
    part: float


def points(
    specimen: Specimen, images: Float[Tensor, "n c h w"], site: str, rng: torch.Generator
) -> Points:
    """One activation of each picture, at a random place that does not touch the border."""
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
    """All of them; each part less what the mean place adds."""
    part = torch.cat([found.part for found in parts])
    return Points(
        torch.cat([found.value for found in parts]),
        torch.cat([found.place for found in parts]),
        parts[0].size,
        part - part.mean(0),
        torch.cat([found.said for found in parts]),
    )


def layout(values: Float[Tensor, "n u"], seed: int) -> Float[Tensor, "n 2"]:
    """Lay points out in the unit square, like by like: PCA, then t-SNE started from it.

    AuditgameError where all are the same, which t-SNE does not survive.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if (values == values[0]).all():
        raise AuditgameError("site: says the same of all pictures; choose another layer")
    flat = F.pad(values, (0, max(0, 2 - values.shape[1]))).double().numpy()
    with threadpool_limits(limits=1):
        if min(flat.shape) > WHOLE:
            flat = PCA(WHOLE, random_state=seed).fit_transform(flat)
        crowd = min(30.0, (len(flat) - 1) / 3)
        spots = TSNE(init="pca", perplexity=crowd, random_state=seed).fit_transform(flat)
    found = torch.from_numpy(spots).float()
    low, high = found.amin(0), found.amax(0)
    return (found - low) / (high - low).clamp(min=1e-9)


def squares(spots: Tensor, found: Points, grid: int) -> dict[tuple[int, int], Cell]:
    """The squares that hold anything, by (row, column)."""
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
