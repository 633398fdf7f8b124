"""Occlusion: the fall of the class logit when parts of the image are covered."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.pixel_attribution import blurred, occlusion, occlusion_queries
from auditgame.tools.vision.saliency import SaliencyOptions, queries, shown


class Occlusion(Tool):
    """Which part of the image, when covered, lowers the class logit?

    Reading it: a square slides over the image; each pixel shows the mean fall of the
    class logit over the squares that cover it. Positive: covering it lowers the logit, so
    the model uses what is there. Negative: covering it raises the logit. All maps of one call share
    a scale. The map should differ from the one with randomised weights and from the edges.

    How it misleads: a covered image is itself unusual for the model; try both fills. A
    trigger smaller than the square shows as a blob of the square's size, and two features
    that can replace each other both seem unused. A trigger must be in the image
    to be seen. On backdoored networks trained elsewhere, 20 % of the mass fell on a 3x3
    corner trigger that covers 0.9 % of the picture: more than GradCAM, far from all.

    Source: Zeiler and Fergus 2013, arXiv:1311.2901. Best of the attribution methods at
    showing planted triggers in Casper et al. 2023, arXiv:2302.10894. Check: Adebayo et
    al. 2018, arXiv:1810.03292.
    """

    name = "occlusion"
    title = "Occlusion"
    asks = "Where does it look?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(SaliencyOptions):
        """Images, class, and the covering square."""

        window: Annotated[
            int,
            Field(
                title="Square",
                description="Side in pixels; 0 for an eighth of the image.",
                ge=0,
                le=32,
                json_schema_extra={"fine": True},
            ),
        ] = 0
        stride: Annotated[
            int,
            Field(
                title="Step",
                description="Pixels between positions of the square; 0 for half a square.",
                ge=0,
                le=32,
                json_schema_extra={"fine": True},
            ),
        ] = 0
        fill: Annotated[
            Literal["mean", "blur"],
            Field(
                title="Cover with",
                description="The pool's mean colour, or the image itself, blurred.",
                json_schema_extra={"fine": True},
            ),
        ] = "mean"

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """For each image one query a position of the square, and two; with checks three times."""
        size = specimen.dataset.shape[1:]
        return queries(options, context, occlusion_queries(size, *_square(options, size)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Heat maps, their check, and a table of correlations."""
        mean = context.examples.inputs.mean((0, 2, 3))[:, None, None]
        window, stride = _square(options, specimen.dataset.shape[1:])

        def explain(
            model: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]
        ) -> Float[Tensor, "n h w"]:
            maps = []
            for image, label in zip(images, labels.tolist(), strict=True):
                fill = mean.expand_as(image)
                if options.fill == "blur":
                    fill = blurred(image, window / 2)
                maps.append(occlusion(model, image, label, fill, window, stride))
            return torch.stack(maps)

        return shown({"Occlusion": explain}, specimen, context, options)


def _square(options: Occlusion.Options, size: tuple[int, ...]) -> tuple[int, int]:
    """The window's side and its step, in pixels."""
    window = min(options.window or max(2, min(size) // 8), *size)
    return window, options.stride or max(1, window // 2)
