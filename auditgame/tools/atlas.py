"""The activation atlas."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from auditgame.assertion import fresh_inputs
from auditgame.datasets import Examples
from auditgame.exhibits import Exhibit, Gallery, Table, Tile
from auditgame.images.pictures import png
from auditgame.lens.maps import LayerField, layer, patch
from auditgame.material import Material
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool
from auditgame.types import AuditgameError, Modality, Record

BATCH = 64
WHOLE = 50
"""t-SNE starts from so many principal directions."""
PATCHES = 4
"""So many patches stand for a cell, two by two."""
PAPER = torch.tensor([250.0, 249.0, 246.0]) / 255


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


class Atlas(Tool):
    """What does this layer see, all of it at a glance?

    One activation of each picture, at a random place, is laid out on a map so that like lies
    by like. Each square shows the patches of pictures nearest to its mean activation, and
    the class that this activation speaks for.

    Reading it: neighbours should look alike and shade into each other. Below each square:
    the class it speaks for most, and how many activations lie there. Red: over half of the
    square's pictures are answered wrongly. A square whose patches show one small thing, far
    from its kind, that speaks for an unrelated class, is suspect.

    How it misleads: the map's distances and holes mean little; only neighbourhoods do, and
    another seed draws another map. What is rare fills no square: a cue in a few pictures is
    easily missed, and a random place may miss it in those: of ten triggered pictures of
    a patch case two shared a square, the rest were scattered. The class is a straight line
    laid at a curve (activation times gradient).

    Source: Carter et al. 2019, Activation Atlas, Distill; van der Maaten and Hinton 2008,
    JMLR 9 (t-SNE). Patches stand in for their painted pictures.
    """

    name = "atlas"
    title = "Activation atlas"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(Record):
        """Which layer, how many pictures, how fine a grid."""

        site: LayerField = ""
        fresh: Annotated[
            int,
            Field(
                title="Fresh pictures",
                description="Drawn anew from the data set, besides the pool.",
                ge=0,
                le=2000,
            ),
        ] = 380
        grid: Annotated[
            int,
            Field(
                title="Grid",
                description="Squares along each side.",
                ge=2,
                le=16,
                json_schema_extra={"fine": True},
            ),
        ] = 9
        seed: Annotated[
            int,
            Field(
                title="Seed",
                description="Of the places, and of the map.",
                ge=0,
                le=2**31,
                json_schema_extra={"fine": True},
            ),
        ] = 0

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """Two probes for each picture."""
        return 2 * len(_pictures(options, material))

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """The atlas, and a table of its squares."""
        site, pictures = layer(specimen, options.site), _pictures(options, material)
        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("atlas").integer())
        parts = []
        for start in range(0, len(pictures), BATCH):
            parts.append(points(specimen, pictures.inputs[start : start + BATCH], site, rng))
            material.progress(0.4 * (start + BATCH) / (len(pictures) + BATCH), "activations")
        found = _joined(parts)
        spots = layout(found.value, options.seed % 2**31)
        material.progress(0.9, "drawing")
        cells = _cells(spots, found, options.grid)
        shown = [_gallery(cells, found, pictures, options.grid, site, specimen)]
        material.progress(1.0, "done")
        return [*shown, _table(cells, found, pictures, len(material.examples), specimen)]


def _pictures(options: Atlas.Options, material: Material) -> Examples:
    """The pool, and the fresh pictures; a data set of files may hold fewer than asked for."""
    if not options.fresh:
        return material.examples
    more = fresh_inputs(material.dataset, options.fresh, options.seed)
    return Examples.join([material.examples, more])


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


def _joined(parts: list[Points]) -> Points:
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


def _cells(spots: Tensor, found: Points, grid: int) -> dict[tuple[int, int], Cell]:
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


# ------------------------------------------------------------------- exhibits


def _gallery(
    cells: dict[tuple[int, int], Cell],
    found: Points,
    pictures: Examples,
    grid: int,
    site: str,
    specimen: Specimen,
) -> Gallery:
    tiles, blank = [], None
    for y in range(grid):
        for x in range(grid):
            cell = cells.get((y, x))
            if cell is None:
                side = specimen.dataset.shape[1]
                blank = blank or png(PAPER[:, None, None].expand(3, side, side))
                tiles.append(Tile(png=blank))
                continue
            tiles.append(
                Tile(
                    png=png(_mosaic(cell, found, pictures)),
                    label=f"{_name(y, x)} {specimen.dataset.classes[cell.label]}",
                    note=f"{len(cell.rows)}",
                    tone="bad" if _wrong(cell, found, pictures) > 0.5 else "plain",
                )
            )
    return Gallery(
        title=f"Activation atlas of {site}",
        tiles=tuple(tiles),
        columns=grid,
        note=f"{len(pictures)} activations. Below: the class a square speaks for, and how many "
        "activations lie in it. Red: over half of its pictures are answered wrongly.",
    )


def _name(y: int, x: int) -> str:
    return f"{chr(ord('A') + y)}{x + 1}"


def _mosaic(cell: Cell, found: Points, pictures: Examples) -> Float[Tensor, "c h w"]:
    """The patches nearest to the square's mean, two by two; fewer are repeated."""
    cut = [
        patch(
            pictures.inputs[row], (int(found.place[row, 0]), int(found.place[row, 1])), found.size
        )
        for row in (cell.nearest * PATCHES)[:PATCHES]
    ]
    return torch.cat([torch.cat(cut[:2], 2), torch.cat(cut[2:], 2)], 1)


def _wrong(cell: Cell, found: Points, pictures: Examples) -> float:
    return float((found.said[cell.rows] != pictures.labels[cell.rows]).float().mean())


def _table(
    cells: dict[tuple[int, int], Cell],
    found: Points,
    pictures: Examples,
    pool: int,
    specimen: Specimen,
) -> Table:
    rows = []
    for (y, x), cell in cells.items():
        known = [f"#{row}" for row in cell.rows.tolist() if row < pool]
        rows.append(
            (
                _name(y, x),
                specimen.dataset.classes[cell.label],
                round(cell.part, 4),
                len(cell.rows),
                round(_wrong(cell, found, pictures), 3),
                ", ".join(known[:6]) + (" ..." if len(known) > 6 else ""),
            )
        )
    rows.sort(key=lambda row: -float(row[4]))
    return Table(
        title="The squares, most often wrong first",
        columns=("square", "speaks for", "by", "activations", "answered wrongly", "from the pool"),
        rows=tuple(rows),
        note="By: activation times gradient, in logits, beyond what all places add on average.",
    )
