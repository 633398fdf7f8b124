"""Search for units that are active in a box of an image, compared with the pool."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import framed, png, spotlight
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import Box
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import OnePicture, Subject, layers, subject, under

BATCH = 64
LEAST_SPREAD = 0.1
"""Smallest standard deviation in the box, as a share of the unit's anywhere: some units are
never active in a corner."""


class UnitMatch(NamedTuple):
    """A unit in the box, compared with the pool.

    value: its maximum in the box. usual: the pool's mean maximum in the same box. stands_out:
    the difference in the pool's standard deviations. elsewhere: share of the pool whose
    maximum anywhere is as high. field: its map of the image.
    """

    unit: str
    value: float
    usual: float
    stands_out: float
    elsewhere: float
    field: Float[Tensor, "a b"]


class Search(Tool):
    """Which units are active in this box, and not there in other images?

    Reading it: in each layer, units are ranked by how far their maximum in
    the box exceeds that of the pool's other images in the same box, in standard
    deviations. The last column is the share of images with as high a maximum
    anywhere: near 0, the unit detects something rare; near 1, something common that
    happens to be here. See the first units in the microscope, or ablate them.

    How it misleads: a deep unit has a receptive field far beyond the box, so what activates it
    may be next to it; early layers localise better. Of a hundred units some exceed by chance:
    3 deviations are little. An active unit need not matter for the answer.

    Source: representer search by activation, after Carter et al. 2019, Activation Atlas,
    Distill, and Bau et al. 2017, Network Dissection, arXiv:1704.05796.
    """

    name = "search"
    title = "Unit search"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(OnePicture):
        """Image, and the box in it, in pixels."""

        x: Annotated[int, Field(title="Left", description="Of the box, in pixels.", ge=0)] = 0
        y: Annotated[int, Field(title="Top", description="Of the box, in pixels.", ge=0)] = 0
        w: Annotated[
            int, Field(title="Width", description="Of the box, in pixels.", ge=1, le=1024)
        ] = 8
        h: Annotated[
            int, Field(title="Height", description="Of the box, in pixels.", ge=1, le=1024)
        ] = 8
        count: Annotated[
            int, Field(title="Units", description="Shown of each layer.", ge=1, le=100)
        ] = 6

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example of the pool, and one for the image."""
        return len(context.examples) + 1

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The box and the first two units of each layer, then a table for each layer."""
        seen = subject(options, context.examples.inputs, context.picture)
        box = _box(options, seen.image)
        found = _search(specimen, context, seen, box, options.count)
        return [_gallery(seen, box, found), *(_table(site, units) for site, units in found.items())]


def _box(options: Search.Options, image: Float[Tensor, "c h w"]) -> Box:
    height, width = image.shape[1:]
    if options.x + options.w > width or options.y + options.h > height:
        raise Invalid(f"box: reaches beyond the image of {width} by {height} pixels")
    return Box(x=options.x, y=options.y, w=options.w, h=options.h)


def _search(
    specimen: Specimen, context: ToolContext, seen: Subject, box: Box, count: int
) -> dict[str, list[UnitMatch]]:
    """For each layer, the units that exceed the pool most inside the box."""
    sites, pool = layers(specimen), context.examples.inputs
    if not sites:
        raise Invalid(f"search: model '{specimen.model_name}' has no convolutional layer")
    others = torch.arange(len(pool)) != (-1 if seen.row is None else seen.row)
    if not others.any():
        raise Invalid("example: the pool has no other image to compare it with")
    here = specimen.run(seen.image[None], keep=sites).kept
    inside = {
        s: under(box, (v.shape[2], v.shape[3]), (seen.image.shape[1], seen.image.shape[2]))
        for s, v in here.items()
    }
    peaks: dict[str, list[Tensor]] = {site: [] for site in sites}
    for done, part in enumerate(pool.split(BATCH), 1):
        kept = specimen.run(part, keep=sites).kept
        for site in sites:
            boxed, whole = kept[site][:, :, inside[site]], kept[site].flatten(2)
            peaks[site].append(torch.stack([boxed.amax(2), whole.amax(2)]))
        context.progress(min(1, done * BATCH / len(pool)), "the pool")
    return {
        site: _ranked(
            site, here[site][0], inside[site], torch.cat(peaks[site], 1)[:, others], count
        )
        for site in sites
    }


def _ranked(
    site: str, field: Tensor, inside: Tensor, peaks: Float[Tensor, "2 n u"], count: int
) -> list[UnitMatch]:
    value, (boxed, whole) = field[:, inside].amax(1), peaks
    spread, anywhere = boxed.std(0, correction=0), whole.std(0, correction=0)
    usual, least = boxed.mean(0), (LEAST_SPREAD * anywhere).clamp(min=1e-6)
    far = (value - usual) / spread.maximum(least)
    elsewhere = (whole >= value).float().mean(0)
    return [
        UnitMatch(
            f"{site}:{u}",
            value=float(value[u]),
            usual=float(usual[u]),
            stands_out=float(far[u]),
            elsewhere=float(elsewhere[u]),
            field=field[u],
        )
        for u in far.argsort(descending=True, stable=True)[:count].tolist()
    ]


def _gallery(seen: Subject, box: Box, found: dict[str, list[UnitMatch]]) -> Gallery:
    tiles = [Tile(png=png(framed(seen.image, box)), label=f"{seen.name}, the box")]
    for units in found.values():
        for unit in units[:2]:
            tiles.append(
                Tile(
                    png=png(spotlight(seen.image, unit.field.clamp(min=0))),
                    label=unit.unit,
                    note=f"{unit.stands_out:+.1f} deviations",
                )
            )
    return Gallery(
        name="maps",
        title="The box, and the first two units of each layer",
        tiles=tuple(tiles),
        note="In colour: at least a third of the unit's maximum.",
    )


def _table(site: str, units: list[UnitMatch]) -> Table:
    return Table(
        name="units",
        title=f"Units of {site} that are unusual in the box",
        columns=columns(
            "unit",
            "deviations",
            ("peak", "maximum in the box"),
            ("pool_mean", "mean of the pool"),
            ("as_high", "as high anywhere"),
        ),
        rows=tuple(
            (f.unit, *(round(v, 4) for v in (f.stands_out, f.value, f.usual, f.elsewhere)))
            for f in units
        ),
        note="As high anywhere: the share of the pool with as high a maximum at any position.",
    )
