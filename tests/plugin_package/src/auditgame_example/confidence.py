"""The tool `confidence`: how sure the model is of its answers, by class."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from auditgame.exhibits import Exhibit, Grid
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext


class Confidence(Tool):
    """How sure is the model of its answers to images of each class?

    Reading it: one row for each class; the cell is the mean probability of the model's answer.

    How it misleads: a model that follows a trigger is as sure as one that is right.

    Source: maximum softmax probability: Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """

    name = "confidence"
    title = "Confidence by class"
    asks = "What does it answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """How many examples."""

        count: Annotated[
            int, Field(title="Examples", description="How many of the examples.", ge=1, le=500)
        ] = 100

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example."""
        return min(options.count, len(context.examples))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A grid with one column."""
        some = context.examples.take(slice(0, options.count))
        sure = specimen.classify(some.inputs).softmax(1).amax(1)
        classes = [
            k for k in range(len(specimen.dataset.classes)) if bool((some.labels == k).any())
        ]
        return [
            Grid(
                name="confidence",
                title="Mean probability of the answer",
                rows=tuple(specimen.dataset.classes[k] for k in classes),
                columns=("probability",),
                values=tuple((float(sure[some.labels == k].mean()),) for k in classes),
                row_axis="class",
                column_axis="",
            )
        ]
