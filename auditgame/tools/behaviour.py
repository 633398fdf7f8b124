"""Behaviour by factor: the confusion matrix, and accuracy by level of each factor."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, Grid, Table, columns
from auditgame.registry import suggest
from auditgame.schema.records import Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext

MAX_LEVELS = 64


class Behaviour(Tool):
    """Which classes does the model confuse, and for which scene, colour or year is it worse?

    The whole pool goes through the specimen and the reference models. The confusion matrix
    counts right classes against answers; the table splits the pool by every factor that is
    recorded for it.

    Reading it: a column of the matrix that collects answers from many rows is a suspected
    target. In the table, a level on which the specimen is worse than the reference models,
    always in favour of the same class, is a suspected trigger or shortcut; test it as a claim.

    How it misleads: with ten inputs at a level, one input moves the accuracy by a tenth: mind
    the counts. If the pool agrees with a shortcut, a model that follows it makes no mistakes
    here, and both exhibits look perfect.

    Source: error slices by attribute: Buolamwini and Gebru 2018 (Gender Shades); Eyuboglu et
    al. 2022, arXiv:2203.14960.
    """

    name = "behaviour"
    title = "Behaviour by factor"
    asks = "What does it answer?"
    modality = frozenset({"image", "text"})

    class Options(Record):
        """Factor, and whether to compare."""

        factor: str = Field(
            "",
            max_length=64,
            title="Factor",
            description="Empty for all of them.",
            json_schema_extra={"widget": "factor"},
        )
        references: bool = Field(
            True, title="Reference models", description="Show their mean accuracy as well."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The pool once through the specimen and each reference model used."""
        return len(context.examples) * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The confusion matrix, and accuracy by level of each factor."""
        pool, controls = context.examples, _controls(options, context)
        answers = specimen.predict(pool.inputs).numpy()
        others = []
        for done, reference in enumerate(controls):
            context.progress((done + 1) / (1 + len(controls)), f"reference model {done + 1}")
            others.append(reference.predict(pool.inputs).numpy())
        chosen = _factors(options, context)
        grid = _confusion(answers, pool.labels, context.dataset.classes)
        return [grid, *([_slices(answers, others, context, chosen)] if chosen else [])]


def _controls(options: Behaviour.Options, context: ToolContext) -> tuple[Specimen, ...]:
    return context.references if options.references else ()


def _factors(options: Behaviour.Options, context: ToolContext) -> list[str]:
    """The factors recorded for the pool, or the one that was chosen."""
    scenes = context.examples.scenes
    known = [f for f in context.dataset.factors if scenes is not None and f in scenes]
    if options.factor and options.factor not in known:
        raise suggest("factor", options.factor, known)
    return [options.factor] if options.factor else known


def _confusion(answers: np.ndarray, labels: Int[Tensor, " n"], classes: tuple[str, ...]) -> Grid:
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (labels.numpy(), answers), 1)
    seen = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts, names = counts[np.ix_(seen, seen)], tuple(classes[k] for k in seen)
    return Grid(
        name="confusion",
        title="Confusion matrix",
        rows=names,
        columns=names,
        values=tuple(tuple(float(v) for v in row) for row in counts),
        row_axis="right class",
        column_axis="answer",
        note=f"Inputs of the pool; {int(counts.trace())} of {int(counts.sum())} are right.",
    )


def _slices(
    answers: np.ndarray, others: list[np.ndarray], context: ToolContext, factors: list[str]
) -> Table:
    rows = [
        _slice(factor, level, answers, others, context)
        for factor in factors
        for level in _levels(context.examples.table[factor])
    ]
    return Table(
        name="slices",
        title="Accuracy by level of each factor",
        columns=columns(
            "factor",
            "level",
            "inputs",
            "accuracy",
            ("reference_accuracy", "accuracy, reference models"),
            ("excess_class", "most over-answered class"),
            "excess",
        ),
        rows=tuple(rows),
        note="Over-answered: given more often than it is right; excess: by which share of the "
        "level's inputs.",
    )


def _levels(column: pd.Series) -> list[object]:
    """The most frequent levels, sorted by name."""
    return sorted(column.value_counts().index[:MAX_LEVELS], key=str)


def _slice(
    factor: str, level: object, answers: np.ndarray, others: list[np.ndarray], context: ToolContext
) -> tuple[str | int | float | None, ...]:
    here = (context.examples.table[factor] == level).to_numpy()
    labels, k = context.examples.labels.numpy()[here], len(context.dataset.classes)
    excess = np.bincount(answers[here], minlength=k) - np.bincount(labels, minlength=k)
    top, share = int(excess.argmax()), round(float(excess.max()) / len(labels), 4)
    own = round(float((answers[here] == labels).mean()), 4)
    accuracies = [float((other[here] == labels).mean()) for other in others]
    reference = round(float(np.mean(accuracies)), 4) if accuracies else None
    name = context.dataset.classes[top] if share > 0 else None
    return factor, str(level), len(labels), own, reference, name, share
