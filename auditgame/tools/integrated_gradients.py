"""Integrated gradients from two baselines, with a completeness check."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, Table, columns
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.pixel_attribution import blurred, integrated_gradients
from auditgame.tools.vision.saliency import (
    Explain,
    SaliencyOptions,
    Seen,
    drawn,
    look,
    queries,
)

TOLERANCE = 0.01
"""Largest error of a map's sum, as a share of the logit change."""


class IntegratedGradients(Tool):
    """What does each pixel add to the class logit, compared with an empty image?

    Reading it: the gradient is integrated along the straight path from a baseline to the
    image; each pixel shows its attribution, summed over colours, signed. Attributions sum to
    the logit minus the baseline's: the table shows how exactly, and flags an error of
    over 1 % (take more steps). Two baselines are always shown; trust what both
    show. The map should differ from the reference model's, from the one with randomised weights and
    from the edges.

    How it misleads: a pixel of the baseline's colour gets no attribution, whatever it does: a
    black trigger is invisible from a black baseline. The path runs through images unlike
    any that the model was trained on. Maps are grainy, and follow the image's own edges because
    they are multiplied by it. On images with the trigger of three patch cases (1.6 to
    2.8 % of the image), 45 to 64 % of the positive mass lay on it from the blurred
    baseline, 18 to 26 % from black (occlusion: 38 to 47 %).

    Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365. On baselines: Sturmfels,
    Lundberg and Lee 2020, Distill. Check: Adebayo et al. 2018, arXiv:1810.03292.
    """

    name = "integrated_gradients"
    title = "Integrated gradients"
    asks = "Where does it look?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(SaliencyOptions):
        """Images, class, two baselines and number of steps."""

        baselines: Annotated[
            Literal["black, blurred", "black, mean", "mean, blurred"],
            Field(
                title="Baselines",
                description="Black, the pool's mean colour, or the image itself, blurred.",
                json_schema_extra={"fine": True},
            ),
        ] = "black, blurred"
        steps: Annotated[
            int,
            Field(
                title="Steps",
                description="Along each path.",
                ge=4,
                le=256,
                json_schema_extra={"fine": True},
            ),
        ] = 50

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Two queries for each image, baseline and step, with checks three times; and three."""
        pictures = queries(options, context, 0)
        return queries(options, context, 4 * options.steps) + 2 * pictures

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Heat maps from two baselines, their checks, and the completeness table."""
        names, mean = options.baselines.split(", "), context.examples.inputs.mean((0, 2, 3))
        methods = {
            f"Integrated gradients from {name}": _explain(name, mean, options.steps)
            for name in names
        }
        seen = look(methods, specimen, context, options)
        starts = [baseline(name, seen.images, mean) for name in names]
        return [*drawn(seen, options.together), _sums(seen, starts, specimen)]


def baseline(
    name: str, images: Float[Tensor, "n c h w"], mean: Float[Tensor, " c"]
) -> Float[Tensor, "n c h w"]:
    """The baseline of this name for each image: black, mean (one colour) or blurred."""
    if name == "blurred":
        return torch.stack([blurred(image, min(image.shape[1:]) / 8) for image in images])
    return (mean if name == "mean" else torch.zeros_like(mean))[:, None, None].expand_as(images)


def _explain(name: str, mean: Float[Tensor, " c"], steps: int) -> Explain:
    def explain(
        model: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]
    ) -> Float[Tensor, "n h w"]:
        start = baseline(name, images, mean)
        return integrated_gradients(model, images, labels, start, steps).sum(1)

    return explain


def _sums(seen: Seen, starts: list[Tensor], specimen: Specimen) -> Table:
    """Completeness: does each map sum to the change of the logit?"""
    rows = []
    for (method, maps), start in zip(seen.maps.items(), starts, strict=True):
        changes = (seen.logits - specimen.classify(start)).gather(1, seen.labels[:, None])[:, 0]
        for word, values, change in zip(seen.words, maps[""], changes.tolist(), strict=True):
            total = float(values.sum())
            numbers = _short(total), _short(change), _short(total - change)
            rows.append((f"{method}: {word}", *numbers, verdict(total, change)))
    return Table(
        name="completeness",
        title="Completeness",
        columns=columns(
            "map", ("sum", "sum of the map"), "logit_change", "convergence_delta", "verdict"
        ),
        rows=tuple(rows),
        note="The delta is the error of the quadrature; it is flagged from 1 % of the change.",
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def verdict(total: float, change: float) -> str:
    """Whether the quadrature error is within 1 % of the logit change, in words."""
    if abs(total - change) <= TOLERANCE * abs(change):
        return "complete"
    return "error over 1 %: take more steps"
