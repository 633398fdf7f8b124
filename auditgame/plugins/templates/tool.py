"""The tool `class_means`: mean activation of each unit by class."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from auditgame.evaluation.mechanism import allowed_sites
from auditgame.exhibits import Exhibit, Grid
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext


class ClassMeans(Tool):
    """Which units of a layer respond to which class?

    Reading it: one row for each unit, one column for each class; a cell is the unit's mean over
    the images of the class and over all positions. The units that differ most come first.

    How it misleads: a mean hides what happens in a few images, and only a few show a trigger. A
    unit that is high for one class need not be a cause of it: ablate it to find out.

    Source: class selectivity: Morcos et al. 2018, arXiv:1803.06959, who warn of it.
    """

    name = "class_means"
    title = "Means by class"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """The layer, and how many units of it."""

        site: Annotated[
            str,
            Field(
                title="Layer",
                description="Empty for the last convolution.",
                max_length=64,
                json_schema_extra={"widget": "site"},
            ),
        ] = ""
        count: Annotated[
            int, Field(title="Units", description="How many units to show.", ge=1, le=64)
        ] = 16

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example."""
        return len(context.examples)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A grid of units by classes."""
        site = options.site or allowed_sites(specimen)[-1]
        pool, classes = context.examples, specimen.dataset.classes
        values = specimen.collect(pool.inputs, site).mean((2, 3))
        seen = [k for k in range(len(classes)) if bool((pool.labels == k).any())]
        means = torch.stack([values[pool.labels == k].mean(0) for k in seen], dim=1)
        spread = means.amax(1) - means.amin(1)
        rows = spread.argsort(descending=True, stable=True)[: options.count].tolist()
        return [
            Grid(
                name="class_means",
                title=f"Mean activation at {site}",
                rows=tuple(f"{site}:{row}" for row in rows),
                columns=tuple(classes[k] for k in seen),
                values=tuple(tuple(means[row].tolist()) for row in rows),
                row_axis="unit",
                column_axis="class",
            )
        ]
