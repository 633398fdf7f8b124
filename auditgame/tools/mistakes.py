"""Wrong answers, grouped by the class that was answered."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Grid, Table, Tile, columns
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext

BATCH = 256


class Mistake(NamedTuple):
    """A wrongly answered example: its row, label and answer, and the answer's probability."""

    row: int
    label: int
    answer: int
    probability: float


class Mistakes(Tool):
    """Which examples does the model get wrong, and which class does it answer?

    Reading it: the confusion matrix counts labels (rows) against answers (columns). Then come
    the wrong answers by class, the most confident first. Ordinary mistakes are few, unsure
    and between similar classes; a trigger shows as very confident mistakes of many
    labels that all go to one class and have something in common. In a pool with 2 %
    triggered images, 37 of 44 wrong answers were triggered ones.

    How it misleads: it sees only what the pool holds. Without triggered inputs in the
    pool a backdoored model makes the mistakes of a clean one, and a pool that agrees with a
    shortcut hides it altogether. Two or three mistakes in one class are chance.

    Source: a confusion matrix; on mining confident errors for planted bugs see Casper et
    al. 2023, arXiv:2302.10894.
    """

    name = "mistakes"
    title = "Mistakes"
    asks = "What does it answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})

    class Options(Record):
        """How many mistakes are shown."""

        count: Annotated[
            int,
            Field(title="Per class", description="Mistakes shown of each class.", ge=1, le=50),
        ] = 8

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example of the pool."""
        return len(context.examples)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The confusion matrix, then galleries (images) or tables (texts) of mistakes."""
        pool, dataset = context.examples, specimen.dataset
        answers, probabilities = _answers(specimen, context)
        exhibits: list[Exhibit] = [_confusion(pool.labels, answers, dataset)]
        for k, word in enumerate(dataset.classes):
            rows = ((answers == k) & (pool.labels != k)).nonzero().flatten()
            order = probabilities[rows].argsort(descending=True, stable=True)
            found = [
                Mistake(row, int(pool.labels[row]), k, float(probabilities[row]))
                for row in rows[order][: options.count].tolist()
            ]
            if found:
                title = f"Wrongly answered {word}: {len(rows)}"
                if isinstance(dataset, TextDataset):
                    exhibits.append(_table(title, found, pool, dataset))
                else:
                    exhibits.append(_gallery(title, found, pool, dataset))
        return exhibits


def _answers(specimen: Specimen, context: ToolContext) -> tuple[Int[Tensor, " n"], Tensor]:
    """The answer to each example of the pool, and its probability."""
    answers, probabilities, done = [], [], 0
    for part in context.examples.inputs.split(BATCH):
        best = specimen.classify(part).softmax(1).max(1)
        answers.append(best.indices)
        probabilities.append(best.values)
        done += len(part)
        context.progress(done / len(context.examples), f"{done} examples")
    return torch.cat(answers), torch.cat(probabilities)


def _confusion(labels: Tensor, answers: Tensor, dataset: Dataset) -> Grid:
    k = len(dataset.classes)
    counts = torch.bincount(labels * k + answers, minlength=k * k).reshape(k, k)
    seen = (counts.sum(0) + counts.sum(1)).nonzero().flatten().tolist()
    counts, names = counts[seen][:, seen], tuple(dataset.classes[c] for c in seen)
    wrong = int((labels != answers).sum())
    return Grid(
        name="confusion",
        title="Confusion matrix",
        rows=names,
        columns=names,
        values=tuple(tuple(float(v) for v in row) for row in counts.tolist()),
        words=tuple(tuple(str(v) if v else "" for v in row) for row in counts.tolist()),
        row_axis="label",
        column_axis="answer",
        note=f"{wrong} of {len(labels)} wrong.",
    )


def _gallery(title: str, found: list[Mistake], pool: Examples, dataset: Dataset) -> Gallery:
    tiles = tuple(
        Tile(
            png=png(pool.inputs[m.row]),
            label=f"#{m.row} {dataset.classes[m.label]}",
            note=f"{dataset.classes[m.answer]} {m.probability:.2f}",
            tone="bad",
        )
        for m in found
    )
    return Gallery(
        name="wrong_answers", title=title, tiles=tiles, note="Above: label; below: answer."
    )


def _table(title: str, found: list[Mistake], pool: Examples, dataset: TextDataset) -> Table:
    rows = tuple(
        (f"#{m.row}", dataset.decode(pool.inputs[m.row]), dataset.classes[m.label], m.probability)
        for m in found
    )
    return Table(
        name="wrong_answers",
        title=title,
        columns=columns("example", "text", "label", "probability"),
        rows=rows,
    )
