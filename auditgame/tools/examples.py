"""Dataset examples: those of the pool that activate a unit most, least, and in between."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.datasets.images.pictures import png, spotlight
from auditgame.exhibits import Exhibit, Gallery, Tile, Tokens
from auditgame.schema.cards import Site
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext

BATCH = 64
SAMPLE = 512
"""The spread is taken from this many examples, evenly spaced in the pool."""


class RunningTopK:
    """The k rows with the highest scores of a stream of rows, in memory for k rows.

    Each row has a score, an index and a map (the unit's activation by position). Rows with
    the same score are ordered by index.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.scores = torch.empty(0)
        self.index = torch.empty(0, dtype=torch.long)
        self.maps: list[Tensor] = []

    def add(self, scores: Float[Tensor, " n"], index: Int[Tensor, " n"], maps: Tensor) -> None:
        """Add rows; their indices must be larger than those of all rows added before."""
        joined = torch.cat([self.scores, scores])
        rows = torch.cat([self.index, index])
        order = joined.argsort(descending=True, stable=True)[: self.k]
        held = len(self.maps)
        self.maps = [self.maps[i] if i < held else maps[i - held].clone() for i in order.tolist()]
        self.scores, self.index = joined[order], rows[order]


class DatasetExamples(Tool):
    """Which examples of the pool activate this unit most, least, and in between?

    Reading it: images are faded where the unit's map is below a third of its peak, so
    that what remains in colour is, roughly, what activates it; texts are shaded word by
    word. An image's score is its spatial maximum, a text's its highest word (for a head,
    the norm of its output; for an attention pattern, what the last word attends to).
    Green: the model answers this example correctly; red: incorrectly. In a pool with 2 %
    triggered images, the top nine examples of channels that fire for a corner patch all
    carried it.

    How it misleads: it shows only what the pool holds; for a unit whose preferred feature is
    absent it shows the next best. Top examples alone make a unit look more selective than it
    is: look at the spread too. Two units with the same top examples can do different things.

    Source: Zhou et al. 2014, arXiv:1412.6856; Bolukbasi et al. 2021, arXiv:2104.07143
    (on how top examples mislead).
    """

    name = "examples"
    title = "Dataset examples"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})
    needs_sites = True

    class Options(Record):
        """Unit, and number of examples."""

        unit: Annotated[
            str,
            Field(
                title="Unit",
                description="SITE:INDEX, for example conv3:17.",
                max_length=80,
                json_schema_extra={"widget": "unit"},
            ),
        ]
        count: Annotated[
            int, Field(title="Examples", description="Shown of each group.", ge=1, le=32)
        ] = 8

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each example of the pool."""
        specimen.unit(options.unit)
        return len(context.examples)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Top, spread and bottom, from one pass over the pool."""
        found = _scan(specimen, context, options)
        show = _pictures if specimen.modality == "image" else _texts
        return [
            exhibit
            for words, leaders, right in found
            for exhibit in show(
                words, f"{options.unit}: {words}", leaders, right, context.examples, specimen
            )
        ]


def _scan(
    specimen: Specimen, context: ToolContext, options: DatasetExamples.Options
) -> list[tuple[str, RunningTopK, Bool[Tensor, " k"]]]:
    """Top, spread and bottom rows with their maps, and whether each is answered correctly."""
    site, unit = specimen.unit(options.unit)
    pool, total = context.examples, len(context.examples)
    top, bottom, sample = (
        RunningTopK(options.count),
        RunningTopK(options.count),
        RunningTopK(SAMPLE),
    )
    right = torch.empty(total, dtype=torch.bool)
    stride = -(-total // SAMPLE)
    batch = specimen.fitting(pool.inputs, BATCH)
    for start in range(0, total, batch):
        part = pool.take(slice(start, start + batch))
        reading = specimen.run(part.inputs, keep=[site.name])
        maps = _maps(reading.kept[site.name], site, unit, part.inputs, specimen)
        index, scores = torch.arange(start, start + len(part)), maps.flatten(1).amax(1)
        right[index] = reading.classes.argmax(1) == part.labels
        top.add(scores, index, maps)
        bottom.add(-scores, index, maps)
        some = index % stride == 0
        sample.add(scores[some], index[some], maps[some])
        context.progress((start + len(part)) / total, f"{start + len(part)} of {total} examples")
    bottom.scores = -bottom.scores
    found = {"top": top, "spread": _spread(sample, options.count), "bottom": bottom}
    return [(words, leaders, right[leaders.index]) for words, leaders in found.items()]


def _maps(
    value: Tensor, site: Site, unit: int, inputs: Tensor, model: Specimen
) -> Float[Tensor, "n h w"] | Float[Tensor, "n t"]:
    """The unit's activation by position: over an image, or over the words of a text."""
    if site.kind == "channel":
        return value[:, unit]
    if site.kind == "pattern":
        return value[torch.arange(len(value)), unit, model.texts.lengths(inputs) - 1]
    words = value[:, :, unit].norm(dim=-1) if site.kind == "head" else value[:, :, unit]
    return words.masked_fill(~model.texts.present(inputs), float("-inf"))


def _spread(sample: RunningTopK, count: int) -> RunningTopK:
    """Rows at the middles of `count` equal parts of the sorted sample, from high to low."""
    chosen = RunningTopK(count)
    if not sample.maps:
        return chosen
    picks = ((torch.arange(count) + 0.5) / count * len(sample.maps)).long().unique()
    chosen.scores, chosen.index = sample.scores[picks], sample.index[picks]
    chosen.maps = [sample.maps[i] for i in picks.tolist()]
    return chosen


def _pictures(
    name: str,
    title: str,
    leaders: RunningTopK,
    right: Bool[Tensor, " k"],
    pool: Examples,
    specimen: Specimen,
) -> list[Exhibit]:
    tiles = tuple(
        Tile(
            png=png(spotlight(pool.inputs[index], region)),
            label=f"#{index} {specimen.dataset.classes[int(pool.labels[index])]}",
            note=f"{score:.2f}",
            tone="good" if fine else "bad",
        )
        for index, score, region, fine in zip(
            leaders.index.tolist(),
            leaders.scores.tolist(),
            leaders.maps,
            right.tolist(),
            strict=True,
        )
    )
    note = "In colour: at least a third of the peak."
    return [Gallery(name=name, title=title, tiles=tiles, note=note)]


def _texts(
    name: str,
    title: str,
    leaders: RunningTopK,
    right: Bool[Tensor, " k"],
    pool: Examples,
    specimen: Specimen,
) -> list[Exhibit]:
    limit = max((float(m[m.isfinite()].abs().max()) for m in leaders.maps), default=1.0) or 1.0
    shown: list[Exhibit] = []
    for index, score, weights, fine in zip(
        leaders.index.tolist(), leaders.scores.tolist(), leaders.maps, right.tolist(), strict=True
    ):
        ids, there = pool.inputs[index], specimen.texts.present(pool.inputs[index][None])[0]
        label = specimen.dataset.classes[int(pool.labels[index])]
        words = "answered correctly" if fine else "answered incorrectly"
        shown.append(
            Tokens(
                name=name,
                title=f"{title}, #{index}",
                tokens=tuple(specimen.texts.words[i] for i in ids[there].tolist()),
                weights=tuple(weights[there].tolist()),
                limit=limit,
                note=f"Score {score:.2f}. Label {label}; {words}.",
            )
        )
    return shown
