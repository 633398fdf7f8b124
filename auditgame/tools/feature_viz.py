"""Feature visualisation of units, class logits or other objectives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Tile
from auditgame.schema.errors import Invalid
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
"""Images optimised at once, at most."""
BETWEEN = 6
"""Images of an interpolation between two objectives, both included."""


class VisualisationRequest(NamedTuple):
    """An objective and its label.

    sign: -1 where the score shown is minus what was maximised.
    """

    name: str
    objective: Objective
    sign: float = 1.0


class FeatureViz(Tool):
    """Which image activates this class, or this unit, most?

    Reading it: each image was optimised from noise by gradient ascent on a class logit, on
    the middle of a channel before its ReLU, or on an objective of your own, such as
    `channel("conv3", 17) - 0.5 * logit("fish")`; below it the score it reaches. Terms:
    neuron, channel, layer (DeepDream), direction, logit, probability, diversity. The
    natural preset shows colours, textures, scenes and rough shapes: it was readable for
    colour, scene and semantic shortcuts. Compare the same class in a reference model.

    How it misleads: it shows what activates the unit most, not what usually does; compare with
    dataset examples. It does not show most patches: on the networks here a patch
    was not readable in the natural preset, and the raw preset, which keeps fine detail,
    beat a clean model on some patches and not on others. Some units have many images;
    try another seed. Activations of two classes, or of two models, are not a detector: a clean
    model's highest logit exceeded the rest by a factor of up to 1.23.

    Source: Olah, Mordvintsev and Schubert 2017, Feature Visualization, Distill; objectives
    that add up: Lucid, by the same authors. Learned prior: after Zoran and Weiss 2011. On its
    limits: Geirhos et al. 2023, arXiv:2306.04719; Casper et al. 2023, arXiv:2302.10894.
    """

    name = "feature_viz"
    title = "Feature visualisation"
    asks = "What is inside?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """Objectives, and the optimisation."""

        site: Annotated[
            str,
            Field(
                title="Layer",
                description="Channels of this layer; empty for the class logits.",
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
                description="A second objective; images are interpolated from each to it.",
                max_length=400,
                json_schema_extra={"fine": True},
            ),
        ] = ""
        preset: Annotated[
            Literal["natural", "raw", "frequency", "smooth", "moved", "fourier", "learned"],
            Field(
                title="Preset",
                description="natural: Fourier parameters in the data's colours, random transforms, "
                "total variation; raw: pixels, no prior; frequency, smooth, moved, fourier: one "
                "prior alone; learned: natural with a prior on patches of the data.",
            ),
        ] = "natural"
        negative: Annotated[
            bool, Field(title="Also minimise", description="Images with the lowest score as well.")
        ] = False
        count: Annotated[
            int,
            Field(
                title="Images",
                description="For each objective; add diversity(SITE) to make them differ.",
                ge=1,
                le=8,
                json_schema_extra={"fine": True},
            ),
        ] = 1
        frames: Annotated[
            int,
            Field(
                title="Frames",
                description="Intermediate images of the optimisation; 0 for none.",
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
                title="Reference model",
                description="The same for the first reference model, which costs no queries.",
            ),
        ] = False
        seed: Annotated[
            int,
            Field(
                title="Seed",
                description="Of the initial noise.",
                ge=0,
                le=2**31,
                json_schema_extra={"fine": True},
            ),
        ] = 0

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two queries for each image and step, and three; for a direction also the pool."""
        requests = _requests(options, specimen)
        surveyed = len(context.examples) * sum(request.objective.surveys for request in requests)
        return (2 * options.steps + 3) * len(requests) * options.count + surveyed

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A gallery of images, and one of frames; the same for the reference model."""
        requests = _requests(options, specimen)
        if options.reference and not context.references:
            raise Invalid("reference: this challenge has no reference models; switch it off")
        models = {("", ""): specimen}
        if options.reference:
            models["reference_", ", reference model"] = context.references[0]
        where = options.objective or options.site or "class logits"
        shown: list[Exhibit] = []
        for (who, words), model in models.items():
            results = _optimised(model, context, options, requests, words)
            title = f"{where}{words}"
            shown.append(_gallery(f"{who}images", title, requests, results, options.count))
            if options.frames:
                title = f"{where}{words}, optimisation"
                shown.append(_film(f"{who}steps", title, requests, results, options.count))
        return shown


def _requests(options: FeatureViz.Options, specimen: Specimen) -> list[VisualisationRequest]:
    requests = list(_asked(options, specimen))
    if options.toward:
        end = parse_objective(options.toward, "toward")
        shares = [k / (BETWEEN - 1) for k in range(BETWEEN)]
        requests = [
            VisualisationRequest(
                f"{request.name}, {share:.0%} toward", blend(request.objective, end, share)
            )
            for request in requests
            for share in shares
        ]
    if options.negative:
        least = [
            VisualisationRequest(f"{request.name}, minimised", -request.objective, -1.0)
            for request in requests
        ]
        requests = [request for pair in zip(requests, least, strict=True) for request in pair]
    return requests


def _asked(options: FeatureViz.Options, specimen: Specimen) -> Iterator[VisualisationRequest]:
    """The written objective, or one for each chosen unit or class."""
    classes = specimen.dataset.classes
    if options.objective:
        yield VisualisationRequest(options.objective, parse_objective(options.objective))
    elif options.site:
        site = specimen.site(options.site)
        if site.kind != "channel":
            raise Invalid(f"site: '{site.name}' has no channels; choose a convolution")
        for unit in choose(options.units, site.units, "units"):
            yield VisualisationRequest(f"{site.name}:{unit}", NeuronObjective(site.name, unit))
    else:
        for label in choose(options.units, len(classes), "units", classes):
            yield VisualisationRequest(classes[label], LogitObjective(classes[label]))


def _optimised(
    model: Specimen,
    context: ToolContext,
    options: FeatureViz.Options,
    requests: list[VisualisationRequest],
    words: str,
) -> list[Visualisation]:
    preset, pool = PRESETS[options.preset], context.examples
    size = (model.dataset.shape[1], model.dataset.shape[2])
    canvas = ImageParameters(preset, size, colour_mix(pool.inputs))
    penalties = penalty(preset, pool.inputs)
    objectives = [request.objective.on(model, pool) for request in requests]
    some = max(1, BATCH // options.count)
    parts = [objectives[i : i + some] for i in range(0, len(objectives), some)]
    results = []
    for done, part in enumerate(parts):

        def report(share: float, done: int = done) -> None:
            context.progress((done + share) / len(parts), f"optimising{words}")

        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("paint").integer())
        results.append(
            maximise(
                model,
                part,
                canvas,
                options.steps,
                rng,
                penalties,
                each=options.count,
                frames=options.frames,
                report=report,
            )
        )
    return results


def _box(results: list[Visualisation]) -> tuple[slice, slice]:
    """Rows and columns that hold all pixels that the objectives depend on."""
    left, top, right, bottom = (
        reach([part.seen[side] for part in results])
        for side, reach in enumerate((min, min, max, max))
    )
    return slice(top, bottom), slice(left, right)


def _gallery(
    name: str,
    title: str,
    requests: list[VisualisationRequest],
    results: list[Visualisation],
    each: int,
) -> Gallery:
    images = torch.cat([part.images for part in results])
    scores = torch.cat([part.scores for part in results]).tolist()
    rows, columns = _box(results)
    tiles = tuple(
        Tile(
            png=png(image[:, rows, columns]),
            label=requests[i // each].name,
            note=f"{requests[i // each].sign * score:.1f}",
        )
        for i, (image, score) in enumerate(zip(images, scores, strict=True))
    )
    seen = f"{columns.stop - columns.start} x {rows.stop - rows.start}"
    note = f"Below: the activation reached. Shown: the {seen} pixels that it depends on."
    return Gallery(name=name, title=title, tiles=tiles, columns=10, note=note)


def _film(
    name: str,
    title: str,
    requests: list[VisualisationRequest],
    results: list[Visualisation],
    each: int,
) -> Gallery:
    """One row for each image, one column for each step."""
    rows, columns = _box(results)
    moments = [frame.step for frame in results[0].film]
    films = torch.cat([torch.stack([f.images for f in part.film], 1) for part in results])
    tiles = tuple(
        Tile(
            png=png(image[:, rows, columns]),
            label=requests[i // each].name if not k else "",
            note=f"step {step}",
        )
        for i, film in enumerate(films)
        for k, (step, image) in enumerate(zip(moments, film, strict=True))
    )
    note = "From the initial noise to the last step."
    return Gallery(name=name, title=title, tiles=tiles, columns=len(moments), note=note)
