"""Spatial activations of a layer, and their contributions to a class logit."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Grid, HeatMap, Table, columns
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import LayerField, OnePicture, Subject, layer, subject
from auditgame.tools.vision.pixel_attribution import slopes

WORDS = 3
"""Units named at each position."""


class SpatialActivations(NamedTuple):
    """At each position of a layer: each unit's activation and its part of the class logit."""

    value: Float[Tensor, "u a b"]
    part: Float[Tensor, "u a b"]


class SpatialGrid(Tool):
    """Which units are active at each position of this image, and what do they contribute?

    Reading it: the heat map shows each position's contribution to the class logit: the sum over
    units of activation times gradient, signed. The grid names the most active unit
    at each position; the table lists the positions that contribute most, with their strongest
    units and the units that contribute most. See a unit in the microscope or by its dataset
    examples. Check positions far from the object that contribute much.

    How it misleads: activation times gradient is a linear approximation: for the
    last layer before an average it is exact (the parts sum to the logit minus the bias),
    for earlier ones approximate. A unit that is always active is the strongest everywhere and
    carries no information; `search` compares with the pool. A position depends on more of the
    image than its square.

    Source: Olah et al. 2018, The Building Blocks of Interpretability, Distill.
    """

    name = "spatial"
    title = "Spatial activation grid"
    asks = "Where does it look?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(OnePicture):
        """Image, layer and class."""

        site: LayerField = ""
        label: Annotated[
            str,
            Field(
                title="Class",
                description="Contributions to this class; empty for the one the model answers.",
                max_length=64,
                json_schema_extra={"widget": "class"},
            ),
        ] = ""
        count: Annotated[
            int, Field(title="Positions", description="Listed in the table.", ge=1, le=100)
        ] = 12

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Three queries: the answer, forward, backward."""
        return 3

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A heat map of contributions, a grid of units, a table of positions."""
        site = layer(specimen, options.site)
        seen = subject(options, context.examples.inputs, context.picture)
        label = specimen.predict(seen.image[None])
        if options.label:
            label[:] = specimen.dataset.require_class(options.label, "label")
        value, slope = (part[0] for part in slopes(specimen, seen.image[None], label, site))
        places = SpatialActivations(value, value * slope)
        return [
            _heat(places, seen, site, specimen.dataset.classes[int(label)]),
            _grid(places, seen, site),
            _table(places, site, options.count),
        ]


def _heat(places: SpatialActivations, seen: Subject, site: str, word: str) -> HeatMap:
    whole = places.part.sum(0)
    return HeatMap(
        name="contributions",
        title=f"Contribution of each position of {site} to {word}, {seen.name}",
        png=png(seen.image),
        values=tuple(tuple(round(v, 6) for v in row) for row in whole.tolist()),
        limit=float(whole.abs().max()) or 1.0,
        note=f"Activation times gradient, summed over units; total {float(whole.sum()):.3g}.",
    )


def _grid(places: SpatialActivations, seen: Subject, site: str) -> Grid:
    strongest = places.value.max(0)
    height, width = strongest.values.shape
    return Grid(
        name="strongest_units",
        title=f"Most active unit at each position of {site}, {seen.name}",
        rows=tuple(map(str, range(height))),
        columns=tuple(map(str, range(width))),
        values=tuple(tuple(round(v, 4) for v in row) for row in strongest.values.tolist()),
        words=tuple(tuple(str(v) for v in row) for row in strongest.indices.tolist()),
        row_axis="down",
        column_axis="across",
        note=f"The index of the unit, as in {site}:{int(strongest.indices[0, 0])}; "
        "shade: its activation.",
    )


def _table(places: SpatialActivations, site: str, count: int) -> Table:
    whole = places.part.sum(0)
    order = whole.abs().flatten().argsort(descending=True, stable=True)[:count]
    rows = []
    for place in order.tolist():
        y, x = divmod(place, whole.shape[1])
        rows.append(
            (
                f"{y} down, {x} across",
                round(float(whole[y, x]), 4),
                _named(places.value[:, y, x], site),
                _named(places.part[:, y, x], site),
            )
        )
    return Table(
        name="positions",
        title="Positions that contribute most",
        columns=columns(
            "position",
            "contribution",
            ("active_units", "most active units"),
            ("contributing_units", "most contributing units"),
        ),
        rows=tuple(rows),
        note="Counted from the top left, from 0. In brackets: activation, contribution.",
    )


def _named(values: Float[Tensor, " u"], site: str) -> str:
    best = values.topk(min(WORDS, len(values)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{site}:{unit} ({value:.2g})" for unit, value in pairs)
