"""Feature visualisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Tile
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality, Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.feature_visualisation import Visualisation, maximise
from auditgame.tools.vision.objective_text import parse_objective
from auditgame.tools.vision.objectives import LogitObjective, NeuronObjective, Objective, blend
from auditgame.tools.vision.parametrisation import PRESETS, ImageParameters, colour_mix
from auditgame.tools.vision.regularisers import penalty
from auditgame.tools.vision.selection import choose

BATCH = 64
"""So many pictures are painted at once."""
BETWEEN = 6
"""Pictures on the way from one objective to another, both included."""


class VisualisationRequest(NamedTuple):
    """One thing to paint for, as it is written under its pictures, and what is painted.

    sign: -1 where the score shown is minus what was maximised.
    """

    name: str
    objective: Objective
    sign: float = 1.0


class FeatureViz(Tool):
    """What picture would excite this class, or this unit, most?

    Reading it: each picture was painted from noise by gradient ascent on a class logit, on
    the middle of a channel before its ReLU, or on an objective of your own, such as
    `channel("conv3", 17) - 0.5 * logit("fish")`; below it the score it reaches. Words:
    neuron, channel, layer (DeepDream), direction, logit, probability, diversity. The
    natural preset shows colours, textures, scenes and rough shapes: it was readable for
    colour, scene and semantic shortcuts. Compare the same class in a clean sibling.

    How it misleads: it paints what excites the unit most, not what usually does; look at
    dataset examples beside it. It is blind to most patches: on the networks here a patch
    was not readable in the natural preset, and the raw preset, which keeps fine detail,
    beat a clean model on some patches and not on others. Some units have many pictures;
    try another seed. Activations of two classes, or of two models, are no detector: a clean
    model's highest logit stood out by a factor of up to 1.23.

    Source: Olah, Mordvintsev and Schubert 2017, Feature Visualization, Distill; objectives
    that add up: Lucid, by the same authors. Learned prior: after Zoran and Weiss 2011. On its
    limits: Geirhos et al. 2023, arXiv:2306.04719; Casper et al. 2023, arXiv:2302.10894.
    """

    name = "feature_viz"
    title = "Feature visualisation"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """For which units, and how."""

        site: Annotated[
            str,
            Field(
                title="Layer",
                description="A layer's channels; empty for the class logits.",
                max_length=64,
                json_schema_extra={"widget": "site"},
            ),
        ] = ""
        units: Annotated[
            str,
            Field(
                title="Units",
                description="Numbers and ranges, or class names; empty for all.",
                max_length=400,
            ),
        ] = ""
        objective: Annotated[
            str,
            Field(
                title="Objective",
                description="In place of layer and units: conv3:17 + 5 * diversity(conv2), "
                'layer("conv2"), direction(conv4, "fish"), probability("key").',
                max_length=400,
            ),
        ] = ""
        toward: Annotated[
            str,
            Field(
                title="Toward",
                description="A second objective: pictures on the way from each to it.",
                max_length=400,
                json_schema_extra={"fine": True},
            ),
        ] = ""
        preset: Annotated[
            Literal["natural", "raw", "frequency", "smooth", "moved", "fourier", "learned"],
            Field(
                title="Preset",
                description="natural: waves in the data's colours, moved about, little variation. "
                "raw: bare pixels. frequency, smooth, moved, fourier: one of these alone. "
                "learned: natural with patches like the data's.",
            ),
        ] = "natural"
        negative: Annotated[
            bool, Field(title="Also the least", description="Paint what lowers the score, too.")
        ] = False
        count: Annotated[
            int,
            Field(
                title="Pictures of each",
                description="From different noise; add diversity(SITE) to keep them apart.",
                ge=1,
                le=8,
                json_schema_extra={"fine": True},
            ),
        ] = 1
        frames: Annotated[
            int,
            Field(
                title="Frames",
                description="Of the way from noise; 0 for none.",
                ge=0,
                le=12,
                json_schema_extra={"fine": True},
            ),
        ] = 0
        steps: Annotated[
            int,
            Field(
                title="Steps",
                description="Of gradient ascent.",
                ge=1,
                le=512,
                json_schema_extra={"fine": True},
            ),
        ] = 100
        reference: Annotated[
            bool,
            Field(
                title="Beside a clean sibling",
                description="Paint the same for the first clean sibling. Siblings cost no probes.",
            ),
        ] = False
        seed: Annotated[
            int,
            Field(
                title="Seed",
                description="Of the first noise.",
                ge=0,
                le=2**31,
                json_schema_extra={"fine": True},
            ),
        ] = 0

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two probes for each picture and step, three for each picture; directions: the pool."""
        wishes = _wishes(options, specimen)
        surveyed = len(context.examples) * sum(wish.objective.surveys for wish in wishes)
        return (2 * options.steps + 3) * len(wishes) * options.count + surveyed

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A gallery of pictures, and one of frames if asked for; the same for the sibling."""
        wishes = _wishes(options, specimen)
        if options.reference and not context.references:
            raise AuditgameError("sibling: this challenge has no clean siblings; switch it off")
        models = {("", ""): specimen}
        if options.reference:
            models["reference_", ", clean sibling"] = context.references[0]
        where = options.objective or options.site or "class logits"
        shown: list[Exhibit] = []
        for (who, words), model in models.items():
            results = _painted(model, context, options, wishes, words)
            title = f"{where}{words}"
            shown.append(_gallery(f"{who}images", title, wishes, results, options.count))
            if options.frames:
                title = f"{where}{words}, from noise"
                shown.append(_film(f"{who}steps", title, wishes, results, options.count))
        return shown


def _wishes(options: FeatureViz.Options, specimen: Specimen) -> list[VisualisationRequest]:
    wishes = list(_asked(options, specimen))
    if options.toward:
        end = parse_objective(options.toward, "toward")
        shares = [k / (BETWEEN - 1) for k in range(BETWEEN)]
        wishes = [
            VisualisationRequest(
                f"{wish.name}, {share:.0%} toward", blend(wish.objective, end, share)
            )
            for wish in wishes
            for share in shares
        ]
    if options.negative:
        least = [
            VisualisationRequest(f"{wish.name}, least", -wish.objective, -1.0) for wish in wishes
        ]
        wishes = [wish for pair in zip(wishes, least, strict=True) for wish in pair]
    return wishes


def _asked(options: FeatureViz.Options, specimen: Specimen) -> Iterator[VisualisationRequest]:
    """The objective that was written, or one for each unit or class that was named."""
    classes = specimen.dataset.classes
    if options.objective:
        yield VisualisationRequest(options.objective, parse_objective(options.objective))
    elif options.site:
        site = specimen.site(options.site)
        if site.kind != "channel":
            raise AuditgameError(f"site: '{site.name}' has no channels; choose a convolution")
        for unit in choose(options.units, site.units, "units"):
            yield VisualisationRequest(f"{site.name}:{unit}", NeuronObjective(site.name, unit))
    else:
        for label in choose(options.units, len(classes), "units", classes):
            yield VisualisationRequest(classes[label], LogitObjective(classes[label]))


def _painted(
    model: Specimen,
    context: ToolContext,
    options: FeatureViz.Options,
    wishes: list[VisualisationRequest],
    words: str,
) -> list[Visualisation]:
    preset, pool = PRESETS[options.preset], context.examples
    size = (model.dataset.shape[1], model.dataset.shape[2])
    canvas = ImageParameters(preset, size, colour_mix(pool.inputs))
    taken = penalty(preset, pool.inputs)
    objectives = [wish.objective.on(model, pool) for wish in wishes]
    some = max(1, BATCH // options.count)
    parts = [objectives[i : i + some] for i in range(0, len(objectives), some)]
    results = []
    for done, part in enumerate(parts):

        def report(share: float, done: int = done) -> None:
            context.progress((done + share) / len(parts), f"painting{words}")

        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("paint").integer())
        results.append(
            maximise(
                model,
                part,
                canvas,
                options.steps,
                rng,
                taken,
                each=options.count,
                frames=options.frames,
                report=report,
            )
        )
    return results


def _box(results: list[Visualisation]) -> tuple[slice, slice]:
    """Rows and columns that hold all that was seen."""
    left, top, right, bottom = (
        reach([part.seen[side] for part in results])
        for side, reach in enumerate((min, min, max, max))
    )
    return slice(top, bottom), slice(left, right)


def _gallery(
    name: str,
    title: str,
    wishes: list[VisualisationRequest],
    results: list[Visualisation],
    each: int,
) -> Gallery:
    images = torch.cat([part.images for part in results])
    scores = torch.cat([part.scores for part in results]).tolist()
    rows, columns = _box(results)
    tiles = tuple(
        Tile(
            png=png(image[:, rows, columns]),
            label=wishes[i // each].name,
            note=f"{wishes[i // each].sign * score:.1f}",
        )
        for i, (image, score) in enumerate(zip(images, scores, strict=True))
    )
    seen = f"{columns.stop - columns.start} x {rows.stop - rows.start}"
    note = f"Below: activation reached. Shown: the {seen} pixels it sees."
    return Gallery(name=name, title=title, tiles=tiles, columns=10, note=note)


def _film(
    name: str,
    title: str,
    wishes: list[VisualisationRequest],
    results: list[Visualisation],
    each: int,
) -> Gallery:
    """One row for each picture, one column for each moment."""
    rows, columns = _box(results)
    moments = [frame.step for frame in results[0].film]
    films = torch.cat([torch.stack([f.images for f in part.film], 1) for part in results])
    tiles = tuple(
        Tile(
            png=png(image[:, rows, columns]),
            label=wishes[i // each].name if not k else "",
            note=f"step {step}",
        )
        for i, film in enumerate(films)
        for k, (step, image) in enumerate(zip(moments, film, strict=True))
    )
    note = "From noise to the end."
    return Gallery(name=name, title=title, tiles=tiles, columns=len(moments), note=note)
