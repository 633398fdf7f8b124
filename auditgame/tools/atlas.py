"""The activation atlas."""

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
PAPER = torch.tensor([250.0, 249.0, 246.0]) / 255


class ActivationAtlas(Tool):
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

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two probes for each picture."""
        return 2 * len(_pictures(options, context))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The atlas, and a table of its squares."""
        site, pictures = layer(specimen, options.site), _pictures(options, context)
        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("atlas").integer())
        parts = []
        for start in range(0, len(pictures), BATCH):
            parts.append(points(specimen, pictures.inputs[start : start + BATCH], site, rng))
            context.progress(0.4 * (start + BATCH) / (len(pictures) + BATCH), "activations")
        found = joined(parts)
        spots = layout(found.value, options.seed % 2**31)
        context.progress(0.9, "drawing")
        cells = squares(spots, found, options.grid)
        shown = [_gallery(cells, found, pictures, options.grid, site, specimen)]
        context.progress(1.0, "done")
        return [*shown, _table(cells, found, pictures, len(context.examples), specimen)]


def _pictures(options: ActivationAtlas.Options, context: ToolContext) -> Examples:
    """The pool, and the fresh pictures; a data set of files may hold fewer than asked for."""
    if not options.fresh:
        return context.examples
    more = fresh_inputs(context.dataset, options.fresh, options.seed)
    return Examples.join([context.examples, more])


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
        name="atlas",
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
        name="squares",
        title="The squares, most often wrong first",
        columns=columns(
            "square",
            ("class", "speaks for"),
            ("attribution", "by"),
            "activations",
            ("error_rate", "answered wrongly"),
            ("examples", "from the pool"),
        ),
        rows=tuple(rows),
        note="By: activation times gradient, in logits, beyond what all places add on average.",
    )
