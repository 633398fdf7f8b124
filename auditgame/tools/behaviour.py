"""A sheet of how the model behaves: what it confuses, and where it is worse than it should be."""

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
    """What does the model confuse with what, and for which scene, colour or year is it worse?

    The whole pool goes through the specimen and its siblings. One grid holds right class
    against answer; the table splits the pool by every factor that is written down for it.

    Reading it: a column of the grid that collects answers from many rows is a suspect target.
    In the table, a level on which the specimen is worse than the siblings, always in favour
    of the same class, is a suspect trigger or shortcut; try it with the hypothesis tool.

    How it misleads: a level seen ten times gives accuracies that jump by a tenth for one
    input: mind the counts. If the pool was drawn in agreement with a shortcut, a model that
    follows it makes no mistakes here, and this sheet looks perfect.

    Source: error slices by attribute: Buolamwini and Gebru 2018 (Gender Shades); Eyuboglu et
    al. 2022, arXiv:2203.14960.
    """

    name = "behaviour"
    title = "Behaviour sheet"
    asks = "What does it answer?"
    modality = frozenset({"image", "text"})

    class Options(Record):
        """Which factor, and beside whom."""

        factor: str = Field(
            "",
            max_length=64,
            title="Factor",
            description="Empty shows all of them.",
            json_schema_extra={"widget": "factor"},
        )
        references: bool = Field(
            True, title="Siblings", description="Their mean accuracy beside the specimen's."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The pool once through the specimen and each sibling used."""
        return len(context.examples) * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The confusion grid, and accuracy by level of each factor."""
        pool, controls = context.examples, _controls(options, context)
        answers = specimen.predict(pool.inputs).numpy()
        clean = []
        for done, reference in enumerate(controls):
            context.progress((done + 1) / (1 + len(controls)), f"sibling {done + 1}")
            clean.append(reference.predict(pool.inputs).numpy())
        chosen = _factors(options, context)
        grid = _confusion(answers, pool.labels, context.dataset.classes)
        return [grid, *([_slices(answers, clean, context, chosen)] if chosen else [])]


def _controls(options: Behaviour.Options, context: ToolContext) -> tuple[Specimen, ...]:
    return context.references if options.references else ()


def _factors(options: Behaviour.Options, context: ToolContext) -> list[str]:
    """The factors written down for the pool, or the one asked for."""
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
        title="Confusions",
        rows=names,
        columns=names,
        values=tuple(tuple(float(v) for v in row) for row in counts),
        row_axis="right class",
        column_axis="answer",
        note=f"Inputs of the pool; {int(counts.trace())} of {int(counts.sum())} are right.",
    )


def _slices(
    answers: np.ndarray, clean: list[np.ndarray], context: ToolContext, factors: list[str]
) -> Table:
    rows = [
        _slice(factor, level, answers, clean, context)
        for factor in factors
        for level in _levels(context.examples.table[factor])
    ]
    return Table(
        name="slices",
        title="Level by level",
        columns=columns(
            "factor",
            "level",
            "inputs",
            "accuracy",
            ("reference_accuracy", "siblings' accuracy"),
            ("excess_class", "answered more than right"),
            ("excess", "by"),
        ),
        rows=tuple(rows),
        note="'Answered more': the class given most above its share of right answers, and by how "
        "much of the level's inputs.",
    )


def _levels(column: pd.Series) -> list[object]:
    """The most frequent levels, in order of their names."""
    return sorted(column.value_counts().index[:MAX_LEVELS], key=str)


def _slice(
    factor: str, level: object, answers: np.ndarray, clean: list[np.ndarray], context: ToolContext
) -> tuple[str | int | float | None, ...]:
    here = (context.examples.table[factor] == level).to_numpy()
    labels, k = context.examples.labels.numpy()[here], len(context.dataset.classes)
    excess = np.bincount(answers[here], minlength=k) - np.bincount(labels, minlength=k)
    top, by = int(excess.argmax()), round(float(excess.max()) / len(labels), 4)
    mine = round(float((answers[here] == labels).mean()), 4)
    right = [float((said[here] == labels).mean()) for said in clean]
    theirs = round(float(np.mean(right)), 4) if right else None
    name = context.dataset.classes[top] if by > 0 else None
    return factor, str(level), len(labels), mine, theirs, name, by
