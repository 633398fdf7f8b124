"""Activation clustering and spectral signatures: does one answer have two causes?"""

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
"""A class with fewer images is left out: clusters of so few mean nothing."""
DIMENSIONS = 10
BATCH = 64


class ClassClusters(NamedTuple):
    """The two clusters of one class.

    rows: of the pool, all that the model answers with this class. odd: those in the smaller
    cluster. silhouette: how well the clusters are separated, -1 to 1. signature: each row's
    squared projection on the first principal direction.
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
    """Do images that get the same answer get it for two different reasons?

    The pool's images are grouped by the model's answer; within each group the activations
    of a layer are reduced to ten dimensions and split into two clusters. Spectral signatures
    address the same question: they score images by their projection on the group's first
    principal direction.

    Reading it: a class with a small, well separated cluster (silhouette near 1), better
    separated than in any reference model, is suspect; look at the images of the small cluster:
    what do all of them show? Red frames: answered wrongly. Several red ones in the
    small cluster of one class are what a backdoor looks like.

    How it misleads: k-means splits every class; classes of two kinds (a car
    from either side) split for good reason. It sees only what the pool holds: without triggered
    images there is nothing to find, and a shortcut that agrees with the label makes no
    second cluster. Small classes give chance splits.

    Source: Chen et al. 2018, arXiv:1811.03728 (activation clustering); Tran, Li and Madry
    2018, arXiv:1811.00636 (spectral signatures).
    """

    name = "clustering"
    title = "Activation clustering"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(Record):
        """Layer, and the class whose unusual images are shown."""

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
                description="Whose unusual images are shown; empty for the two best separated.",
                max_length=64,
                json_schema_extra={"widget": "class"},
            ),
        ] = ""
        count: Annotated[
            int, Field(title="Images", description="Unusual images shown of a class.", ge=1, le=32)
        ] = 8

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example of the pool; reference models cost none."""
        return len(context.examples)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A table of all classes, then the unusual images of some."""
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
    predicted, points = torch.cat(answers), torch.cat(means)
    groups = {k: (predicted == k).nonzero()[:, 0] for k in range(len(model.dataset.classes))}
    return {k: split(points[rows], rows) for k, rows in groups.items() if len(rows) >= LEAST}


def split(points: Float[Tensor, "m u"], rows: Int[Tensor, " m"]) -> ClassClusters:
    """Split points into two clusters by k-means on their first ten principal components."""
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
        title=f"Two clusters of each answer, at {site}",
        columns=columns(
            "answer",
            "images",
            ("smaller_share", "share of smaller cluster"),
            "silhouette",
            ("reference_silhouette", "highest silhouette of reference models"),
            ("smaller_wrong", "wrong in smaller cluster"),
            ("outliers", "spectral outliers"),
        ),
        rows=tuple(rows),
        note=f"Empty: fewer than {LEAST} images get this answer.",
    )


def _outliers(cut: ClassClusters, count: int) -> list[int]:
    order = cut.signature.argsort(descending=True, stable=True)
    return [int(row) for row in cut.rows[order][:count]]


def _galleries(
    word: str, cut: ClassClusters, k: int, context: ToolContext, options: Clustering.Options
) -> list[Gallery]:
    smaller = f"{word}: smaller cluster, {len(cut.odd)} of {len(cut.rows)} images"
    outliers = f"{word}: largest spectral signatures"
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
            note=f"answer: {classes[k]}",
            tone="good" if int(pool.labels[row]) == k else "bad",
        )
        for row in rows
    )
