"""Trigger inversion."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Note, Table, Tile, columns
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import rgb
from auditgame.schema.records import Modality, Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.selection import choose
from auditgame.tools.vision.trigger_inversion import Stamps, index, invert, spot


class TriggerInversion(Tool):
    """Which class can be reached from every picture by the smallest stamp?

    Reading it: for each class a mask and a pattern are searched for that send the pool's
    pictures there, as small as can be (the mask's sum, in pixels). A backdoor is a short cut,
    so its class needs a smaller stamp than the rest: the index is log(median / smallest).
    Only the comparison with clean siblings says whether it is high. On eight networks for
    48-pixel pictures, 100 steps of 8 pictures: 0.84 to 1.50 with a patch, the right class each
    time; 0.24 to 0.52 without.

    How it misleads: clean models have easy classes too; the usual rule (more than two
    absolute deviations below the median) accuses clean networks. Stopped too early it names
    the wrong class: where the smallest stamp has not converged the tool gives no verdict. It
    looks for small stamps; blends, sinusoids and semantic triggers escape it. The stamp is
    not the trigger: on those networks it lay up to ten pixels away, in other colours.

    Source: Wang et al. 2019, Neural Cleanse, IEEE Symposium on Security and Privacy (no
    arXiv number).
    """

    name = "inversion"
    title = "Trigger inversion"
    asks = "What changes its answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """How long to search, for which classes, beside how many siblings."""

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
                title="Pictures per step",
                description="Of the pool.",
                ge=1,
                le=32,
                json_schema_extra={"fine": True},
            ),
        ] = 8
        references: Annotated[
            int,
            Field(
                title="Siblings",
                description="Clean models to compare with. They cost time, but no probes.",
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
        """Two for each class, step and picture; at the end, two for each class and example."""
        classes = len(_classes(options, specimen))
        return 2 * classes * (options.steps * options.batch + len(context.examples))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The stamps, their sizes, and how the index compares with the siblings'."""
        models = [specimen, *context.references[: options.references]]
        found = [_search(models, turn, context, options) for turn in range(len(models))]
        names = ["this model", *(f"clean sibling {n}" for n in range(1, len(models)))]
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
        raise AuditgameError(f"classes: {len(chosen)} chosen; choose at least 3 to compare")
    return chosen


def _search(
    models: list[Specimen], turn: int, context: ToolContext, options: TriggerInversion.Options
) -> Stamps:
    model, count = models[turn], len(models)
    words = f"sibling {turn} of {count - 1}" if turn else "this model"

    def report(share: float) -> None:
        context.progress((turn + share) / count, f"searching {words}")

    rng = torch.Generator().manual_seed(Seed.of(options.seed).child("invert").integer())
    classes = _classes(options, model)
    return invert(model, context.examples, classes, options.steps, options.batch, rng, report)


def _verdict(found: list[Stamps], classes: tuple[str, ...]) -> Note:
    sizes = found[0].sizes
    best = int(sizes.argmin())
    name, own = classes[found[0].classes[best]], index(sizes.tolist())
    others = [index(stamps.sizes.tolist()) for stamps in found[1:]]
    if not found[0].converged[best]:
        text = f"The smallest stamp, for {name}, has not converged: no verdict. Try more steps."
    elif not others:
        text = f"Index {own:.2f}, for {name}. Without siblings nobody knows whether that is high."
    else:
        side = "above all of them" if own > max(others) else "not above all of them"
        text = (
            f"Index {own:.2f}, for {name}; clean siblings {min(others):.2f} to "
            f"{max(others):.2f}: {side}."
        )
    return Note(name="finding", title="Smallest stamp", text=text)


def _gallery(stamps: Stamps, classes: tuple[str, ...]) -> Gallery:
    grey = 0.5 * (1 - stamps.masks[:, None]) + stamps.masks[:, None] * stamps.patterns
    tiles = tuple(
        Tile(
            png=png(image),
            label=classes[k],
            note=f"{size:.0f} px, {rate:.0%}" + ("" if settled else ", not converged"),
        )
        for image, k, size, rate, settled in zip(
            grey,
            stamps.classes,
            stamps.sizes.tolist(),
            stamps.rates.tolist(),
            stamps.converged.tolist(),
            strict=True,
        )
    )
    note = "The stamp on grey; its size in pixels; the share of other classes' pictures it turns."
    title = "Smallest stamp of each class"
    return Gallery(name="trigger_images", title=title, tiles=tiles, columns=5, note=note)


def _sizes(stamps: Stamps, specimen: Specimen, context: ToolContext) -> Table:
    """One row a class, for programs too: the stamp as an opaque square, and what that does."""
    rows = []
    for i, k in enumerate(stamps.classes):
        box, pattern = spot(stamps.masks[i], stamps.patterns[i])
        images = context.examples.inputs.clone()
        colours = torch.tensor([[rgb(c) for c in row] for row in pattern]).permute(2, 0, 1)
        images[:, :, box.y : box.y + box.h, box.x : box.x + box.w] = colours / 255
        turned = (specimen.predict(images) == k)[context.examples.labels != k]
        size, rate = round(float(stamps.sizes[i]), 1), round(float(stamps.rates[i]), 3)
        settled = "yes" if stamps.converged[i] else "no"
        square = round(float(turned.float().mean()), 3)
        drawn = " / ".join(" ".join(row) for row in pattern)
        where = (box.x, box.y, box.w, box.h)
        rows.append((specimen.dataset.classes[k], size, rate, settled, *where, square, drawn))
    return Table(
        name="triggers",
        title="Stamps",
        columns=columns(
            *("class", "mask_size", "attack_rate", "converged"),
            *("x", "y", "w", "h", ("square_rate", "square's rate"), "pattern"),
        ),
        rows=tuple(rows),
        note="x, y, w, h: the smallest square with most of the mask. Square's rate: what it "
        "turns when laid on as an opaque pattern, in the colours given row by row.",
    )


def _indices(found: list[Stamps], names: list[str], classes: tuple[str, ...]) -> Table:
    rows = tuple(
        (
            name,
            round(index(stamps.sizes.tolist()), 3),
            classes[stamps.classes[int(stamps.sizes.argmin())]],
            round(float(stamps.sizes.min()), 1),
            round(float(np.median(stamps.sizes.tolist())), 1),
            "yes" if stamps.converged[int(stamps.sizes.argmin())] else "no",
        )
        for name, stamps in zip(names, found, strict=True)
    )
    return Table(
        name="models",
        title="Index of each model",
        columns=columns("model", "index", "class", "smallest", "median", "converged"),
        rows=rows,
        note="Index: log(median / smallest). Converged: whether the smallest stamp has.",
    )
