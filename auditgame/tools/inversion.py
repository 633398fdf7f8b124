"""Trigger inversion by Neural Cleanse, with the anomaly index of the reference models."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Note, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import rgb
from auditgame.schema.records import Modality, Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.selection import choose
from auditgame.tools.vision.trigger_inversion import (
    InvertedTriggers,
    index,
    invert,
    trigger_square,
)


class TriggerInversion(Tool):
    """Which class needs the smallest trigger to become the answer for every image?

    Reading it: for each class a mask and a pattern are optimised that change the answers of
    the pool's images to it, with as small a mask as possible (its sum, in pixels). A backdoored
    class needs a smaller trigger than the others: the index is log(median / smallest).
    Only the comparison with reference models shows whether it is high. On eight networks for
    48-pixel images, 100 steps of 8 images: 0.84 to 1.50 with a patch, the right class each
    time; 0.24 to 0.52 without.

    How it misleads: clean models have easy classes too; the usual rule (more than two
    absolute deviations below the median) accuses clean networks. Stopped too early it names
    the wrong class: where the smallest mask has not converged the tool gives no verdict. It
    searches for small triggers; blends, sinusoids and semantic triggers escape it. The result
    is not the planted trigger: on those networks it was up to ten pixels away, in other colours.

    Source: Wang et al. 2019, Neural Cleanse, IEEE Symposium on Security and Privacy (no
    arXiv number).
    """

    name = "inversion"
    title = "Trigger inversion"
    asks = "What changes its answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """Classes, length of the search, and number of reference models."""

        classes: Annotated[
            str,
            Field(
                title="Classes",
                description="Names, or numbers and ranges; empty for all. At least three.",
                max_length=400,
            ),
        ] = ""
        steps: Annotated[
            int,
            Field(
                title="Steps",
                description="Of the search, per class.",
                ge=1,
                le=400,
                json_schema_extra={"fine": True},
            ),
        ] = 120
        batch: Annotated[
            int,
            Field(
                title="Images per step",
                description="Of the pool.",
                ge=1,
                le=32,
                json_schema_extra={"fine": True},
            ),
        ] = 8
        references: Annotated[
            int,
            Field(
                title="Reference models",
                description="Searched as well. They cost time, but no queries.",
                ge=0,
                le=5,
            ),
        ] = 3
        seed: Annotated[
            int,
            Field(
                title="Seed",
                description="Of the search.",
                ge=0,
                le=2**31,
                json_schema_extra={"fine": True},
            ),
        ] = 0

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two for each class, step and image; at the end, two for each class and example."""
        classes = len(_classes(options, specimen))
        return 2 * classes * (options.steps * options.batch + len(context.examples))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding, the triggers, their sizes, and the index of each model."""
        models = [specimen, *context.references[: options.references]]
        found = [_search(models, turn, context, options) for turn in range(len(models))]
        names = ["specimen", *(f"reference model {n}" for n in range(1, len(models)))]
        classes = specimen.dataset.classes
        table = _sizes(found[0], specimen, context)
        return [
            _verdict(found, classes),
            _gallery(found[0], classes),
            table,
            _indices(found, names, classes),
        ]


def _classes(options: TriggerInversion.Options, specimen: Specimen) -> list[int]:
    names = specimen.dataset.classes
    chosen = choose(options.classes, len(names), "classes", names)
    if len(chosen) < 3:
        raise Invalid(f"classes: {len(chosen)} chosen; choose at least 3 to compare")
    return chosen


def _search(
    models: list[Specimen], turn: int, context: ToolContext, options: TriggerInversion.Options
) -> InvertedTriggers:
    model, count = models[turn], len(models)
    words = f"reference model {turn} of {count - 1}" if turn else "the specimen"

    def report(share: float) -> None:
        context.progress((turn + share) / count, f"searching on {words}")

    rng = torch.Generator().manual_seed(Seed.of(options.seed).child("invert").integer())
    classes = _classes(options, model)
    return invert(model, context.examples, classes, options.steps, options.batch, rng, report)


def _verdict(found: list[InvertedTriggers], classes: tuple[str, ...]) -> Note:
    sizes = found[0].sizes
    best = int(sizes.argmin())
    name, own = classes[found[0].classes[best]], index(sizes.tolist())
    others = [index(triggers.sizes.tolist()) for triggers in found[1:]]
    if not found[0].converged[best]:
        text = f"The smallest mask, for {name}, has not converged: no verdict. Try more steps."
    elif not others:
        text = f"Index {own:.2f}, for {name}. Without reference models it cannot be judged."
    else:
        side = "above all of them" if own > max(others) else "not above all of them"
        text = (
            f"Index {own:.2f}, for {name}; reference models {min(others):.2f} to "
            f"{max(others):.2f}: {side}."
        )
    return Note(name="finding", title="Anomaly index", text=text)


def _gallery(triggers: InvertedTriggers, classes: tuple[str, ...]) -> Gallery:
    grey = 0.5 * (1 - triggers.masks[:, None]) + triggers.masks[:, None] * triggers.patterns
    tiles = tuple(
        Tile(
            png=png(image),
            label=classes[k],
            note=f"{size:.0f} px, {rate:.0%}" + ("" if settled else ", not converged"),
        )
        for image, k, size, rate, settled in zip(
            grey,
            triggers.classes,
            triggers.sizes.tolist(),
            triggers.rates.tolist(),
            triggers.converged.tolist(),
            strict=True,
        )
    )
    note = "The trigger on grey; mask size in pixels; attack success rate on other classes."
    title = "Smallest trigger of each class"
    return Gallery(name="trigger_images", title=title, tiles=tiles, columns=5, note=note)


def _sizes(triggers: InvertedTriggers, specimen: Specimen, context: ToolContext) -> Table:
    """One row a class: mask size and rate, and the trigger as an opaque square."""
    rows = []
    for i, k in enumerate(triggers.classes):
        box, pattern = trigger_square(triggers.masks[i], triggers.patterns[i])
        images = context.examples.inputs.clone()
        colours = torch.tensor([[rgb(c) for c in row] for row in pattern]).permute(2, 0, 1)
        images[:, :, box.y : box.y + box.h, box.x : box.x + box.w] = colours / 255
        changed = (specimen.predict(images) == k)[context.examples.labels != k]
        size, rate = round(float(triggers.sizes[i]), 1), round(float(triggers.rates[i]), 3)
        settled = "yes" if triggers.converged[i] else "no"
        square = round(float(changed.float().mean()), 3)
        drawn = " / ".join(" ".join(row) for row in pattern)
        where = (box.x, box.y, box.w, box.h)
        rows.append((specimen.dataset.classes[k], size, rate, settled, *where, square, drawn))
    return Table(
        name="triggers",
        title="Triggers",
        columns=columns(
            *("class", "mask_size", "attack_success_rate", "converged"),
            *("x", "y", "w", "h", ("square_rate", "rate of the square"), "pattern"),
        ),
        rows=tuple(rows),
        note="x, y, w, h: the smallest square with most of the mask. Rate of the square: attack "
        "success rate of the opaque pattern, whose colours are given row by row.",
    )


def _indices(found: list[InvertedTriggers], names: list[str], classes: tuple[str, ...]) -> Table:
    rows = tuple(
        (
            name,
            round(index(triggers.sizes.tolist()), 3),
            classes[triggers.classes[int(triggers.sizes.argmin())]],
            round(float(triggers.sizes.min()), 1),
            round(float(np.median(triggers.sizes.tolist())), 1),
            "yes" if triggers.converged[int(triggers.sizes.argmin())] else "no",
        )
        for name, triggers in zip(names, found, strict=True)
    )
    return Table(
        name="models",
        title="Anomaly index by model",
        columns=columns("model", "index", "class", "smallest", "median", "converged"),
        rows=rows,
        note="Index: log(median / smallest mask size). Converged: whether the smallest has.",
    )
