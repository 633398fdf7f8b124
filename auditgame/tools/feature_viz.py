"""Feature visualisation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.pictures import png
from auditgame.seeds import Seed
from auditgame.selection import choose
from auditgame.specimen import Reading, Specimen
from auditgame.tools import Material, Tool
from auditgame.types import AuditgameError, Exhibit, Gallery, Modality, Record, Tile
from auditgame.visualisation import PRESETS, Canvas, Objective, Painted, colour_mix, maximise

BATCH = 64
"""So many units are painted at once."""


class Units(NamedTuple):
    """Which units to paint for: a site (None: class logits), their indices and names."""

    site: str | None
    indices: list[int]
    names: list[str]


class FeatureViz(Tool):
    """What picture would excite this class, or this unit, most?

    Reading it: each picture was painted from noise by gradient ascent on a class logit, or
    on the middle of a channel before its ReLU; below it the activation it reaches. The
    natural preset shows colours, textures, scenes and rough shapes: it was readable for
    colour, scene and semantic shortcuts. Compare the same class in a clean sibling.

    How it misleads: it paints what excites the unit most, not what usually does; look at
    dataset examples beside it. It is blind to most patches: on the networks here a patch
    was not readable in the natural preset, and the raw preset, which keeps fine detail,
    beat a clean model on some patches and not on others. Some units have many pictures;
    try another seed. Activations of two classes, or of two models, are no detector: a clean
    model's highest logit stood out by a factor of up to 1.23.

    Source: Olah, Mordvintsev and Schubert 2017, Feature Visualization, Distill. On its
    limits: Geirhos et al. 2023, arXiv:2306.04719; Casper et al. 2023, arXiv:2302.10894.
    """

    name = "feature_viz"
    title = "Feature visualisation"
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
        preset: Annotated[
            Literal["natural", "raw"],
            Field(
                title="Preset",
                description="natural: smooth, moved about, the data's colours. raw: bare pixels.",
            ),
        ] = "natural"
        steps: Annotated[
            int, Field(title="Steps", description="Of gradient ascent.", ge=1, le=512)
        ] = 100
        sibling: Annotated[
            bool,
            Field(
                title="Beside a clean sibling",
                description="Paint the same for the first clean sibling. Siblings cost no probes.",
            ),
        ] = False
        seed: Annotated[
            int, Field(title="Seed", description="Of the first noise.", ge=0, le=2**31)
        ] = 0

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """Two probes for each unit and step, and three for each unit."""
        return (2 * options.steps + 3) * len(_units(options, specimen).indices)

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """A gallery of pictures; one more for the sibling, if asked for."""
        units = _units(options, specimen)
        if options.sibling and not material.siblings:
            raise AuditgameError("sibling: this challenge has no clean siblings; switch it off")
        models = {"": specimen}
        if options.sibling:
            models[", clean sibling"] = material.siblings[0]
        where = options.site or "class logits"
        return [
            _gallery(f"{where}{words}", units, _painted(model, material, options, units, words))
            for words, model in models.items()
        ]


def _units(options: FeatureViz.Options, specimen: Specimen) -> Units:
    if not options.site:
        classes = specimen.dataset.classes
        index = choose(options.units, len(classes), "units", classes)
        return Units(None, index, [classes[k] for k in index])
    site = specimen.site(options.site)
    if site.kind != "channel":
        raise AuditgameError(f"site: '{site.name}' has no channels; choose a convolution")
    index = choose(options.units, site.units, "units")
    before = f"{site.name}.pre"
    read = before if before in specimen.sites else site.name
    return Units(read, index, [f"{site.name}:{i}" for i in index])


def _painted(
    model: Specimen,
    material: Material,
    options: FeatureViz.Options,
    units: Units,
    words: str,
) -> list[Painted]:
    size = (model.dataset.shape[1], model.dataset.shape[2])
    canvas = Canvas(PRESETS[options.preset], size, colour_mix(material.examples.inputs))
    parts = [units.indices[i : i + BATCH] for i in range(0, len(units.indices), BATCH)]
    results = []
    for done, part in enumerate(parts):

        def report(share: float, done: int = done) -> None:
            material.progress((done + share) / len(parts), f"painting{words}")

        rng = torch.Generator().manual_seed(Seed.of(options.seed).child("paint").integer())
        objective = _objective(units.site, part)
        results.append(
            maximise(model, objective, units.site, len(part), canvas, options.steps, rng, report)
        )
    return results


def _objective(site: str | None, index: list[int]) -> Objective:
    rows, units = torch.arange(len(index)), torch.tensor(index)

    def logit(reading: Reading) -> Float[Tensor, " n"]:
        return reading.classes[rows, units]

    def middle(reading: Reading) -> Float[Tensor, " n"]:
        value = reading.kept[site or ""]
        return value[rows, units, value.shape[2] // 2, value.shape[3] // 2]

    return middle if site else logit


def _gallery(title: str, units: Units, results: list[Painted]) -> Gallery:
    images = [image for part in results for image in part.images]
    scores = [score for part in results for score in part.scores.tolist()]
    left, top, right, bottom = (
        reach([part.seen[side] for part in results])
        for side, reach in enumerate((min, min, max, max))
    )
    tiles = tuple(
        Tile(png=png(image[:, top:bottom, left:right]), label=name, note=f"{score:.1f}")
        for image, name, score in zip(images, units.names, scores, strict=True)
    )
    note = f"Below: activation reached. Shown: the {right - left} x {bottom - top} pixels it sees."
    return Gallery(title=title, tiles=tiles, columns=10, note=note)
