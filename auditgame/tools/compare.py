"""Comparison with the reference models: inputs, classes and units on which they differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Note, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.activations import UnitActivations, distance, record_activations

DISAGREEMENTS = "Inputs on which the specimen differs from all reference models"


class Compare(Tool):
    """Where does this model answer differently from clean models of the same recipe?

    All of them answer the whole pool. Shown are the inputs on which the specimen differs from
    every reference model, accuracy and answers by class, and the units of the specimen whose
    activations on those inputs are most unusual.

    Reading it: if the pool holds a flaw's trigger, the flaw shows among the inputs on which all
    reference models answer otherwise; several of them going to one class is a strong
    sign. The unit table gives, in standard deviations, how far a unit's mean on those inputs
    lies from its mean on the rest; a flaw's units exceed the largest value of any reference
    model.

    How it misleads: models from other seeds differ by chance on hard inputs, so one or two
    such inputs mean nothing. Unit 7 here is not unit 7 of a reference model; units are never
    compared one to one. A pool without the trigger shows no difference at all, and a shortcut
    that agrees with the label shows none either.

    Source: disagreement between models as a sign of what they learnt: Nakkiran and Bansal
    2020, arXiv:2009.08092; comparing with clean models of the same recipe is our own use.
    """

    name = "compare"
    title = "Compare with reference models"
    asks = "What does it answer?"
    modality = frozenset({"image", "text"})

    class Options(Record):
        """How much is shown."""

        shown: int = Field(
            24,
            ge=1,
            le=100,
            title="Inputs",
            description="Shown of those on which the specimen alone answers so.",
        )
        units: int = Field(
            12, ge=0, le=100, title="Units", description="Most unusual on those inputs."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The pool, once through every model."""
        return len(context.examples) * (1 + len(context.references))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Inputs on which the specimen differs from all; classes; models; units."""
        if not context.references:
            raise Invalid("compare: this challenge has no reference models to compare with")
        views = _activations(specimen, context)
        alone = torch.stack([views[0].answers != v.answers for v in views[1:]]).all(0)
        return [
            *_disagreements(views, alone, context, options),
            _classes(views, context),
            _models(views, context),
            *_units(views, alone, options),
        ]


def _activations(specimen: Specimen, context: ToolContext) -> list[UnitActivations]:
    models = [specimen, *context.references]
    found = []
    for done, model in enumerate(models):
        context.progress(done / len(models), f"model {done + 1} of {len(models)}")
        found.append(record_activations(model, context.examples.inputs, _sites(model)))
    return found


def _sites(model: Specimen) -> list[str]:
    kinds = ("channel", "neuron", "head")
    return [n for n, s in model.sites.items() if s.kind in kinds and not n.endswith(".pre")]


# ------------------------------------------------------------------- exhibits


def _disagreements(
    views: list[UnitActivations],
    alone: Bool[Tensor, " n"],
    context: ToolContext,
    options: Compare.Options,
) -> list[Exhibit]:
    rows = alone.nonzero()[:, 0].tolist()
    if not rows:
        text = f"On none of the {len(alone)} inputs does it differ from all reference models."
        return [Note(name="no_disagreements", title=DISAGREEMENTS, text=text)]
    listed = _listed(views, rows, context)
    if context.dataset.modality == "text":
        return [listed]
    return [_gallery(views, rows[: options.shown], context), listed]


def _gallery(views: list[UnitActivations], rows: list[int], context: ToolContext) -> Gallery:
    classes, pool = context.dataset.classes, context.examples
    tiles = []
    for row in rows:
        label, answer = int(pool.labels[row]), int(views[0].answers[row])
        others = ", ".join(sorted({classes[int(v.answers[row])] for v in views[1:]}))
        tiles.append(
            Tile(
                png=png(pool.inputs[row]),
                label=f"#{row} {classes[label]}",
                note=f"{classes[answer]}; reference models: {others}",
                tone="good" if answer == label else "bad",
            )
        )
    return Gallery(name="disagreement_images", title=DISAGREEMENTS, tiles=tuple(tiles))


def _listed(views: list[UnitActivations], rows: list[int], context: ToolContext) -> Table:
    dataset, classes, pool = context.dataset, context.dataset.classes, context.examples
    body = []
    for row in rows:
        own, *others = (classes[int(view.answers[row])] for view in views)
        text = dataset.decode(pool.inputs[row]) if isinstance(dataset, TextDataset) else ""
        body.append((row, classes[int(pool.labels[row])], own, ", ".join(others), text))
    return Table(
        name="disagreements",
        title=f"{DISAGREEMENTS}, as a list",
        columns=columns("example", "label", "specimen", "reference_models", "text"),
        rows=tuple(body),
        note=f"{len(rows)} of {len(pool)} inputs of the pool.",
    )


def _classes(views: list[UnitActivations], context: ToolContext) -> Table:
    labels, rows = context.examples.labels, []
    for k, name in enumerate(context.dataset.classes):
        mine = labels == k
        right = [_share(view.answers[mine] == k) for view in views]
        given = [_share(view.answers == k) for view in views]
        rows.append((name, int(mine.sum()), right[0], _mean(right[1:]), given[0], _mean(given[1:])))
    return Table(
        name="classes",
        title="By class",
        columns=columns(
            "class",
            "inputs",
            "accuracy",
            ("reference_accuracy", "accuracy, reference models"),
            "answer_share",
            ("reference_answer_share", "answer share, reference models"),
        ),
        rows=tuple(rows),
        note="Answer share: how much of the pool gets this class. Reference models: their mean.",
    )


def _models(views: list[UnitActivations], context: ToolContext) -> Table:
    names = ["specimen", *(f"reference model {i}" for i in range(1, len(views)))]
    labels, mine = context.examples.labels, views[0].answers
    return Table(
        name="models",
        title="By model",
        columns=columns("model", "accuracy", ("agreement", "agreement with the specimen")),
        rows=tuple(
            (name, _share(view.answers == labels), _share(view.answers == mine))
            for name, view in zip(names, views, strict=True)
        ),
    )


def _units(
    views: list[UnitActivations], alone: Bool[Tensor, " n"], options: Compare.Options
) -> list[Table]:
    """Units by how unusual they are on those inputs; none for fewer than two inputs."""
    if int(alone.sum()) < 2 or alone.all() or not options.units:
        return []
    rows = []
    for site in views[0].activations:
        mine, *theirs = (
            distance(v.activations[site][alone], v.activations[site][~alone]) for v in views
        )
        largest = max(float(found.max()) for found in theirs)
        for index, value in enumerate(mine.tolist()):
            rows.append((f"{site}:{index}", round(value, 3), round(largest, 3)))
    rows.sort(key=lambda row: -row[1])
    return [
        Table(
            name="units",
            title="Units that are unusual on those inputs",
            columns=columns(
                "unit",
                "difference",
                ("reference_largest", "largest of the reference models"),
            ),
            rows=tuple(rows[: options.units]),
            note="In standard deviations over the rest of the pool; the largest is at the same "
            f"site. {int(alone.sum())} inputs.",
        )
    ]


def _share(hits: Tensor) -> float | None:
    return round(float(hits.float().mean()), 4) if len(hits) else None


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return round(sum(known) / len(known), 4) if known else None
