"""Non-negative matrix factorisation of a layer's activations."""

from __future__ import annotations

import warnings
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import heated, png, spotlight, stretch
from auditgame.exhibits import Exhibit, Gallery, Grid, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Edit, Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import LayerField, layer
from auditgame.tools.vision.selection import choose

BATCH = 64
FITTED = 6000
"""Positions that the factors are fitted on, at most, evenly spaced."""
UNITS = 5


class Factors(NamedTuple):
    """Non-negative factors of a layer's activations.

    maps: the strength of each of k factors at each position of n images. units: the units'
    weights in each factor, summing to 1. explained: share of the activations' squares.
    """

    maps: Float[Tensor, "n k a b"]
    units: Float[Tensor, "k u"]
    explained: float


class FactorGroups(Tool):
    """Into which few groups do the units of a layer fall, and what does each group do?

    A layer has too many units to inspect one by one. Its activations on the pool, at all
    positions of all images, are factorised into a few non-negative factors that only add, so
    that each can be interpreted as a feature.

    Reading it: one row of images for each factor shows where it is strongest in the pool;
    on the example images each factor is shown in warm colours, on the factor's own
    scale. The grid shows how removing it from its top images changes each logit:
    negative means that the factor raises that class. A factor whose top images share
    nothing but a mark, and which raises one class, is suspect.

    How it misleads: you choose the number of factors: with few, a rare trigger is merged with
    something common; try more. The factorisation is one of many that fit about equally well. A
    trigger in 2 % of the pool explains little of the activations, so it may get no factor.

    Source: Olah et al. 2018, The Building Blocks of Interpretability, Distill; Lee and
    Seung 1999, Nature 401 (the factorisation).
    """

    name = "factors"
    title = "Activation factors"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(Record):
        """Layer, number of factors, and images."""

        site: LayerField = ""
        factors: Annotated[
            int, Field(title="Factors", description="Number of factors.", ge=2, le=16)
        ] = 6
        examples: Annotated[
            str,
            Field(
                title="Examples",
                description="Images on which factors are shown, such as 0-3, 40. At most 16.",
                max_length=400,
                json_schema_extra={"widget": "example"},
            ),
        ] = "0-3"
        top: Annotated[
            int,
            Field(
                title="Top images",
                description="Shown of each factor.",
                ge=1,
                le=16,
                json_schema_extra={"fine": True},
            ),
        ] = 8

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example of the pool, and for each factor's top images."""
        pool = len(context.examples)
        return pool + options.factors * min(options.top, pool)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Top images, maps on examples, effects on the logits, and units of each factor."""
        site = layer(specimen, options.site)
        rows = choose(options.examples, len(context.examples), "examples")
        if len(rows) > 16:
            raise Invalid(f"examples: {len(rows)} chosen; choose at most 16")
        logits, values = _collected(specimen, context, site)
        context.progress(0.3, "factors")
        found = factorise(values, options.factors)
        peaks = found.maps.amax((2, 3))
        tops = peaks.argsort(dim=0, descending=True, stable=True)[: options.top].T
        falls = []
        for factor, top in enumerate(tops):
            share = found.maps[top, factor][:, None] * found.units[factor][:, None, None]
            edit: dict[str, Edit] = {site: _without(share)}
            changed = specimen.run(context.examples.inputs[top], edit=edit).classes
            falls.append((changed - logits[top]).mean(0))
            context.progress(0.5 + 0.5 * (factor + 1) / len(tops), "effects")
        return [
            _tops(found, tops, peaks, context, site),
            _examples(found, rows, peaks, context),
            _effects(torch.stack(falls), specimen.dataset.classes),
            _made_of(found, site),
        ]


def _collected(specimen: Specimen, context: ToolContext, site: str) -> tuple[Tensor, Tensor]:
    """The pool's logits, and its activations at the site, clamped at zero."""
    logits, values = [], []
    for part in context.examples.inputs.split(BATCH):
        reading = specimen.run(part, keep=[site])
        logits.append(reading.classes)
        values.append(reading.kept[site].clamp(min=0))
    return torch.cat(logits), torch.cat(values)


def _without(share: Float[Tensor, "n u a b"]) -> Edit:
    """An edit that subtracts this share from active units; inactive ones stay."""

    def edit(value: Tensor) -> Tensor:
        return torch.where(value > 0, (value - share).clamp(min=0), value)

    return edit


def factorise(values: Float[Tensor, "n u a b"], count: int) -> Factors:
    """Factorise activations by NMF; AuditgameError where that is impossible."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    n, units, height, width = values.shape
    if count > min(units, n * height * width):
        raise Invalid(f"factors: {count} for {units} units; choose fewer")
    points = values.permute(0, 2, 3, 1).reshape(-1, units).double().numpy()
    if not points.any():
        raise Invalid("site: all activations on the pool are zero; choose another layer")
    fitted = points[:: -(-len(points) // FITTED)]
    model = NMF(count, init="nndsvda", max_iter=300, random_state=0)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(fitted)
        strength = model.transform(points)
    total = model.components_.sum(1).clip(min=1e-12)
    rest = points - strength @ model.components_
    maps = torch.from_numpy(strength * total).float().reshape(n, height, width, count)
    parts = torch.from_numpy(model.components_ / total[:, None]).float()
    explained = 1 - float(np.square(rest).sum() / np.square(points).sum())
    return Factors(maps.permute(0, 3, 1, 2), parts, explained)


# ------------------------------------------------------------------- exhibits


def _tops(found: Factors, tops: Tensor, peaks: Tensor, context: ToolContext, site: str) -> Gallery:
    pool, classes = context.examples, context.dataset.classes
    tiles = tuple(
        Tile(
            png=png(spotlight(pool.inputs[row], found.maps[row, factor])),
            label=f"factor {factor}: #{row} {classes[int(pool.labels[row])]}",
            note=f"{float(peaks[row, factor]):.2f}",
        )
        for factor, top in enumerate(tops.tolist())
        for row in top
    )
    return Gallery(
        name="top_examples",
        title=f"Top images of each factor of {site}, one row a factor",
        tiles=tiles,
        columns=tops.shape[1],
        note="In colour: at least a third of the factor's peak in the image.",
    )


def _examples(found: Factors, rows: list[int], peaks: Tensor, context: ToolContext) -> Gallery:
    pool, limits, tiles = context.examples, peaks.amax(0).tolist(), []
    for row in rows:
        image = pool.inputs[row]
        word = context.dataset.classes[int(pool.labels[row])]
        tiles.append(Tile(png=png(image), label=f"#{row} {word}"))
        maps = stretch(found.maps[row], tuple(image.shape[1:]))
        for factor, field in enumerate(maps):
            over = png(heated(image, field, limits[factor]))
            note = f"{float(peaks[row, factor]):.2f}"
            tiles.append(Tile(png=over, label=f"factor {factor}", note=note))
    return Gallery(
        name="maps",
        title="Factors on the examples",
        tiles=tuple(tiles),
        columns=1 + found.maps.shape[1],
        note="Full colour: the factor's maximum in the pool. Below: its maximum here.",
    )


def _effects(falls: Float[Tensor, "k c"], classes: tuple[str, ...]) -> Grid:
    return Grid(
        name="effects",
        title="Change of the logits when a factor is removed from its top images",
        rows=tuple(f"factor {k}" for k in range(len(falls))),
        columns=classes,
        values=tuple(tuple(round(v, 4) for v in row) for row in falls.tolist()),
        words=tuple(tuple(f"{v:+.1f}" for v in row) for row in falls.tolist()),
        row_axis="removed",
        column_axis="logit",
        note="Mean change over the top images. Negative: the factor raises the class.",
    )


def _made_of(found: Factors, site: str) -> Table:
    whole, rows = found.maps.sum(), []
    for k, parts in enumerate(found.units):
        best = parts.topk(min(UNITS, len(parts)))
        units = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        named = ", ".join(f"{site}:{unit} ({share:.0%})" for unit, share in units)
        rows.append((f"factor {k}", round(float(found.maps[:, k].sum() / whole), 4), named))
    return Table(
        name="units",
        title="Strongest units of each factor",
        columns=columns("factor", ("share", "share of activation"), ("units", "strongest units")),
        rows=tuple(rows),
        note=f"Together they explain {found.explained:.0%} of the activations (of their squares).",
    )
