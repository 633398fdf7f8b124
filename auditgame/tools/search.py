"""Which units fire here?"""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import framed, png, spotlight
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import OnePicture, Subject, layers, subject, under

BATCH = 64
FAINT = 0.1
"""A spread in the box counts as this share of the unit's spread anywhere, at least: some
units never fire in a corner."""


class UnitMatch(NamedTuple):
    """A unit inside the box, against the pool.

    value: its peak in the box. usual: the pool's mean peak in the same box. stands_out:
    by how many of the pool's standard deviations. elsewhere: share of the pool whose
    peak anywhere is as high. field: its map of the picture.
    """

    unit: str
    value: float
    usual: float
    stands_out: float
    elsewhere: float
    field: Float[Tensor, "a b"]


class Search(Tool):
    """Which units fire inside this box, and not there in other pictures?

    Reading it: in each layer, units are ranked by how far their highest activation inside
    the box stands above what the pool's other pictures show in the same box, in standard
    deviations. The last column is the share of pictures where the unit fires as high
    anywhere: near 0, it fires for something rare; near 1, for something common that
    happens to lie here. Look the first units up in the microscope, or take them out with
    the ablation tool.

    How it misleads: a deep unit sees far beyond the box, so what excites it may lie next to
    it; early layers place better. With a hundred units some stand out by chance: 3 deviations
    are little. That a unit fires here does not mean that the answer depends on it.

    Source: representer search by activation, after Carter et al. 2019, Activation Atlas,
    Distill, and Bau et al. 2017, Network Dissection, arXiv:1704.05796.
    """

    name = "search"
    title = "Which units fire here"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(OnePicture):
        """Which picture, and the box in it, in pixels."""

        x: Annotated[int, Field(title="Left", description="Of the box, in pixels.", ge=0)] = 0
        y: Annotated[int, Field(title="Top", description="Of the box, in pixels.", ge=0)] = 0
        w: Annotated[
            int, Field(title="Width", description="Of the box, in pixels.", ge=1, le=1024)
        ] = 8
        h: Annotated[
            int, Field(title="Height", description="Of the box, in pixels.", ge=1, le=1024)
        ] = 8
        count: Annotated[
            int, Field(title="Units", description="How many of each layer.", ge=1, le=100)
        ] = 6

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe for each example of the pool, and one for the picture."""
        return len(context.examples) + 1

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The box and each layer's first unit, then a table for each layer."""
        seen = subject(options, context.examples.inputs, context.picture)
        box = _box(options, seen.image)
        found = _search(specimen, context, seen, box, options.count)
        return [_gallery(seen, box, found), *(_table(site, units) for site, units in found.items())]


def _box(options: Search.Options, image: Float[Tensor, "c h w"]) -> Box:
    height, width = image.shape[1:]
    if options.x + options.w > width or options.y + options.h > height:
        raise AuditgameError(f"box: reaches beyond the picture of {width} by {height} pixels")
    return Box(x=options.x, y=options.y, w=options.w, h=options.h)


def _search(
    specimen: Specimen, context: ToolContext, seen: Subject, box: Box, count: int
) -> dict[str, list[UnitMatch]]:
    """For each layer, the units that stand out most inside the box."""
    sites, pool = layers(specimen), context.examples.inputs
    if not sites:
        raise AuditgameError(f"search: model '{specimen.model_name}' has no layer of maps")
    others = torch.arange(len(pool)) != (-1 if seen.row is None else seen.row)
    if not others.any():
        raise AuditgameError("example: the pool has no other picture to compare it with")
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
    usual, least = boxed.mean(0), (FAINT * anywhere).clamp(min=1e-6)
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
        title="The box, and where the first two units of each layer fire",
        tiles=tuple(tiles),
        note="In colour: at least a third of the unit's peak.",
    )


def _table(site: str, units: list[UnitMatch]) -> Table:
    return Table(
        name="units",
        title=f"Units of {site} that stand out in the box",
        columns=columns(
            "unit",
            "deviations",
            ("peak", "peak in the box"),
            ("pool_mean", "pool's mean"),
            ("as_high", "as high anywhere"),
        ),
        rows=tuple(
            (f.unit, *(round(v, 4) for v in (f.stands_out, f.value, f.usual, f.elsewhere)))
            for f in units
        ),
        note="As high anywhere: the share of the pool whose peak, at any place, reaches this one.",
    )
