"""Activation clustering and spectral signatures."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import layer, layers

LEAST = 6
"""A class with fewer pictures is left alone: two clusters of it would mean nothing."""
DIMENSIONS = 10
BATCH = 64


class ClassClusters(NamedTuple):
    """One class, cut in two.

    rows: of the pool, all that the model answers with this class. odd: which of them are in
    the smaller cluster. silhouette: how well the two are apart, -1 to 1. signature: each
    row's squared part along the direction of most spread.
    """

    rows: Int[Tensor, " m"]
    odd: Int[Tensor, " k"]
    silhouette: float
    signature: Float[Tensor, " m"]

    @property
    def share(self) -> float:
        """The smaller cluster's share of the class."""
        return len(self.odd) / len(self.rows)


class Clustering(Tool):
    """Do the pictures that get the same answer get it for two different reasons?

    The pool's pictures are grouped by the model's answer; within each group the activations
    of a layer are reduced to ten dimensions and cut in two clusters. Spectral signatures
    look for the same in another way: the direction along which a group spreads most.

    Reading it: a class with a small cluster that stands well apart (silhouette near 1), more
    so than in any sibling, is suspect; look at the odd pictures: is there something that
    all of them show? Red frames: the model answers them wrongly. Several red ones in the
    small cluster of one class are what a backdoor looks like.

    How it misleads: k-means cuts every class in two, odd or not; classes of two kinds (a car
    from either side) split honestly. It sees only what the pool holds: with no triggered
    picture it has nothing to find, and a shortcut that agrees with the label makes no
    second cluster. Small classes give chance cuts.

    Source: Chen et al. 2018, arXiv:1811.03728 (activation clustering); Tran, Li and Madry
    2018, arXiv:1811.00636 (spectral signatures).
    """

    name = "clustering"
    title = "Activation clustering"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(Record):
        """At which layer, and for which class the odd pictures are shown."""

        site: Annotated[
            str,
            Field(
                title="Layer",
                description="A convolution; empty for the last.",
                max_length=64,
                json_schema_extra={"widget": "site"},
            ),
        ] = ""
        label: Annotated[
            str,
            Field(
                title="Class",
                description="Whose odd pictures are shown; empty for the best-separated two.",
                max_length=64,
                json_schema_extra={"widget": "class"},
            ),
        ] = ""
        count: Annotated[
            int, Field(title="How many", description="Odd pictures of a class.", ge=1, le=32)
        ] = 8

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe for each example of the pool; siblings cost none."""
        return len(context.examples)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A table of all classes, then the odd pictures of some."""
        site = layer(specimen, options.site or (layers(specimen) or [""])[-1])
        splits = []
        models = (specimen, *context.references)
        for done, model in enumerate(models, 1):
            splits.append(_splits(model, context, site))
            context.progress(done / len(models), f"model {done} of {len(models)}")
        mine, *theirs = splits
        shown = sorted(mine, key=lambda k: -mine[k].silhouette)[:2]
        if options.label:
            shown = [specimen.dataset.require_class(options.label, "label")]
        galleries = [
            gallery
            for k in shown
            if k in mine
            for gallery in _galleries(specimen.dataset.classes[k], mine[k], k, context, options)
        ]
        return [_table(mine, theirs, context, site), *galleries]


def _splits(model: Specimen, context: ToolContext, site: str) -> dict[int, ClassClusters]:
    answers, means = [], []
    for part in context.examples.inputs.split(BATCH):
        reading = model.run(part, keep=[site])
        answers.append(reading.classes.argmax(1))
        means.append(reading.kept[site].mean((2, 3)))
    said, points = torch.cat(answers), torch.cat(means)
    groups = {k: (said == k).nonzero()[:, 0] for k in range(len(model.dataset.classes))}
    return {k: split(points[rows], rows) for k, rows in groups.items() if len(rows) >= LEAST}


def split(points: Float[Tensor, "m u"], rows: Int[Tensor, " m"]) -> ClassClusters:
    """Cut these points in two by k-means, after a reduction to ten principal directions."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    centred = (points - points.mean(0)).double()
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    reduced = (centred @ directions[:DIMENSIONS].T).numpy()
    signature = (centred @ directions[0]).square().float()
    if len(np.unique(reduced.round(9), axis=0)) < 2:
        return ClassClusters(rows, rows[:0], 0.0, signature)
    with threadpool_limits(limits=1):
        groups = KMeans(2, n_init=10, random_state=0).fit_predict(reduced)
        apart = float(silhouette_score(reduced, groups)) if len(rows) > 2 else 0.0
    smaller = int(np.bincount(groups, minlength=2).argmin())
    return ClassClusters(rows, rows[torch.from_numpy(groups) == smaller], apart, signature)


# ------------------------------------------------------------------- exhibits


def _table(
    mine: dict[int, ClassClusters],
    theirs: list[dict[int, ClassClusters]],
    context: ToolContext,
    site: str,
) -> Table:
    rows: list[tuple[str | int | float | None, ...]] = []
    for k, word in enumerate(context.dataset.classes):
        if k not in mine:
            rows.append((word, None, None, None, None, None, ""))
            continue
        cut, others = mine[k], [found[k].silhouette for found in theirs if k in found]
        rows.append(
            (
                word,
                len(cut.rows),
                round(cut.share, 3),
                round(cut.silhouette, 3),
                round(max(others), 3) if others else None,
                int((context.examples.labels[cut.odd] != k).sum()),
                ", ".join(f"#{row}" for row in _outliers(cut, 3)),
            )
        )
    return Table(
        name="classes",
        title=f"Each answer cut in two, at {site}",
        columns=columns(
            "answer",
            "pictures",
            ("smaller_share", "smaller cluster"),
            "silhouette",
            ("reference_silhouette", "siblings' highest"),
            ("smaller_wrong", "wrong in the smaller"),
            ("outliers", "spectral outliers"),
        ),
        rows=tuple(rows),
        note=f"Smaller cluster: its share. Empty: fewer than {LEAST} pictures get this answer.",
    )


def _outliers(cut: ClassClusters, count: int) -> list[int]:
    order = cut.signature.argsort(descending=True, stable=True)
    return [int(row) for row in cut.rows[order][:count]]


def _galleries(
    word: str, cut: ClassClusters, k: int, context: ToolContext, options: Clustering.Options
) -> list[Gallery]:
    smaller = f"{word}: the smaller cluster, {len(cut.odd)} of {len(cut.rows)}"
    outliers = f"{word}: furthest out by spectral signature"
    found = (
        ("smaller_cluster", smaller, cut.odd.tolist()),
        ("outliers", outliers, _outliers(cut, options.count)),
    )
    return [
        Gallery(name=name, title=title, tiles=_tiles(rows[: options.count], k, context))
        for name, title, rows in found
        if rows
    ]


def _tiles(rows: list[int], k: int, context: ToolContext) -> tuple[Tile, ...]:
    pool, classes = context.examples, context.dataset.classes
    return tuple(
        Tile(
            png=png(pool.inputs[row]),
            label=f"#{row} {classes[int(pool.labels[row])]}",
            note=f"said {classes[k]}",
            tone="good" if int(pool.labels[row]) == k else "bad",
        )
        for row in rows
    )
