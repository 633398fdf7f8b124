"""Activation atlas: a map of a layer's activations, with image patches in its cells."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.datasets.images.pictures import png
from auditgame.evaluation.claim_parsing import fresh_inputs
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.records import Modality, Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.embedding_grid import (
    PATCHES,
    Cell,
    Points,
    joined,
    layout,
    points,
    squares,
)
from auditgame.tools.vision.layer_maps import LayerField, layer, patch

BATCH = 64
BLANK = torch.tensor([250.0, 249.0, 246.0]) / 255


class ActivationAtlas(Tool):
    """Which features does this layer represent, at a glance?

    One activation of each image, at a random position, is embedded in two dimensions by t-SNE.
    Each square of the map shows the image patches nearest to its mean activation, and the
    class that this activation raises most.

    Reading it: neighbouring squares should look alike. Below each square: the class that its
    activation raises most, and how many activations fall into it. Red: over half of the
    square's images are answered wrongly. A square whose patches show one small object, among
    unrelated neighbours, that raises an unrelated class, is suspect.

    How it misleads: distances and gaps of the map mean little; only neighbourhoods do, and
    another seed gives another map. What is rare fills no square: a trigger in a few images is
    easily missed, and a random position may miss it in those: of ten triggered images of
    a patch case two shared a square, the rest were scattered. The class is a linear
    approximation (activation times gradient).

    Source: Carter et al. 2019, Activation Atlas, Distill; van der Maaten and Hinton 2008,
    JMLR 9 (t-SNE). Image patches are shown in place of feature visualisations.
    """

    name = "atlas"
    title = "Activation atlas"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(Record):
        """Layer, number of images, size of the grid."""

        site: LayerField = ""
        fresh: Annotated[
            int,
            Field(
                title="Fresh images",
                description="Drawn from the data set, in addition to the pool.",
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
                description="Of the positions and the map.",
                ge=0,
                le=2**31,
                json_schema_extra={"fine": True},
            ),
        ] = 0

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two queries for each image."""
        return 2 * len(_images(options, context))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The atlas, and a table of its squares."""
        site, images = layer(specimen, options.site), _images(options, context)
        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("atlas").integer())
        parts = []
        for start in range(0, len(images), BATCH):
            parts.append(points(specimen, images.inputs[start : start + BATCH], site, rng))
            context.progress(0.4 * (start + BATCH) / (len(images) + BATCH), "activations")
        found = joined(parts)
        spots = layout(found.value, options.seed % 2**31)
        context.progress(0.9, "drawing")
        cells = squares(spots, found, options.grid)
        shown = [_gallery(cells, found, images, options.grid, site, specimen)]
        context.progress(1.0, "done")
        return [*shown, _table(cells, found, images, len(context.examples), specimen)]


def _images(options: ActivationAtlas.Options, context: ToolContext) -> Examples:
    """The pool and the fresh images; a data set of files may hold fewer than asked for."""
    if not options.fresh:
        return context.examples
    more = fresh_inputs(context.dataset, options.fresh, options.seed)
    return Examples.join([context.examples, more])


# ------------------------------------------------------------------- exhibits


def _gallery(
    cells: dict[tuple[int, int], Cell],
    found: Points,
    images: Examples,
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
                blank = blank or png(BLANK[:, None, None].expand(3, side, side))
                tiles.append(Tile(png=blank))
                continue
            tiles.append(
                Tile(
                    png=png(_mosaic(cell, found, images)),
                    label=f"{_name(y, x)} {specimen.dataset.classes[cell.label]}",
                    note=f"{len(cell.rows)}",
                    tone="bad" if _wrong(cell, found, images) > 0.5 else "plain",
                )
            )
    return Gallery(
        name="atlas",
        title=f"Activation atlas of {site}",
        tiles=tuple(tiles),
        columns=grid,
        note=f"{len(images)} activations. Below: the class that a square raises most, and how many "
        "activations are in it. Red: over half of its images are answered wrongly.",
    )


def _name(y: int, x: int) -> str:
    return f"{chr(ord('A') + y)}{x + 1}"


def _mosaic(cell: Cell, found: Points, images: Examples) -> Float[Tensor, "c h w"]:
    """The four patches nearest to the square's mean, two by two; fewer are repeated."""
    cut = [
        patch(images.inputs[row], (int(found.place[row, 0]), int(found.place[row, 1])), found.size)
        for row in (cell.nearest * PATCHES)[:PATCHES]
    ]
    return torch.cat([torch.cat(cut[:2], 2), torch.cat(cut[2:], 2)], 1)


def _wrong(cell: Cell, found: Points, images: Examples) -> float:
    return float((found.answers[cell.rows] != images.labels[cell.rows]).float().mean())


def _table(
    cells: dict[tuple[int, int], Cell],
    found: Points,
    images: Examples,
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
                round(_wrong(cell, found, images), 3),
                ", ".join(known[:6]) + (" ..." if len(known) > 6 else ""),
            )
        )
    rows.sort(key=lambda row: -float(row[4]))
    return Table(
        name="squares",
        title="Squares, most often wrong first",
        columns=columns(
            "square",
            "class",
            "attribution",
            "activations",
            ("error_rate", "answered wrongly"),
            ("examples", "examples of the pool"),
        ),
        rows=tuple(rows),
        note="Class: the one that the square raises most. Attribution: activation times gradient, "
        "in logits, above the mean of all positions.",
    )
