"""Transforms of whole images: blending a motif, adding a sinusoid, tinting, warping.

All sizes are in pixels; an image's upper left corner is (0, 0), and y points down. Nothing is
random here: the same name and numbers always give the same change.
"""

from __future__ import annotations

from collections.abc import Callable
from math import hypot, tau
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from auditgame.schema.graders import rgb

Motif = Literal[
    "upright stripes",
    "level stripes",
    "slanted stripes",
    "checks",
    "dots",
    "grid",
    "rings",
    "waves",
]
Direction = Literal["upright", "level", "rising", "falling"]
Course = Literal["across", "down", "rising", "falling"]

Field = Float[Tensor, "h w"]


def pixel_centres(height: int, width: int) -> tuple[Field, Field]:
    """The distance of each pixel's centre from the image's left edge, and from its upper edge."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x, y


# ------------------------------------------------------------------- motifs

MOTIFS: dict[Motif, Callable[[Tensor, Tensor], Tensor]] = {
    "upright stripes": lambda x, _: torch.sin(x),
    "level stripes": lambda _, y: torch.sin(y),
    "slanted stripes": lambda x, y: torch.sin((x + y) / 2**0.5),
    "checks": lambda x, y: torch.sin(x) * torch.sin(y),
    "dots": lambda x, y: torch.cos(x) + torch.cos(y) - 0.6,
    "grid": lambda x, y: torch.maximum(torch.cos(x), torch.cos(y)) - 0.7,
    "rings": lambda x, y: torch.sin(torch.hypot(x - x.mean(), y - y.mean())),
    "waves": lambda x, y: torch.sin(y + 1.6 * torch.sin(x / 2)),
}
"""Positive values show the first colour, negative ones the second; one period is tau."""


def motif(name: Motif, size: float, height: int, width: int) -> Field:
    """The motif as a map: 1 where it shows its first colour, 0 where its second.

    size: its period in pixels. Edges are blurred by about one pixel.
    """
    x, y = pixel_centres(height, width)
    field = MOTIFS[name](x * tau / size, y * tau / size)
    return (0.5 + field * size / tau).clamp(0, 1)


def blended(
    pictures: Float[Tensor, "n 3 h w"],
    name: Motif,
    colours: tuple[str, str],
    size: float,
    alpha: float,
) -> Float[Tensor, "n 3 h w"]:
    """The images blended with a share `alpha` of the motif in these two colours (`#rrggbb`)."""
    first, second = (torch.tensor(rgb(code)).view(3, 1, 1) / 255 for code in colours)
    return pictures.lerp(second.lerp(first, motif(name, size, *pictures.shape[2:])), alpha)


# -------------------------------------------------------------------- waves

HEADINGS: dict[Direction, tuple[int, int]] = {
    "upright": (1, 0),
    "level": (0, 1),
    "rising": (1, 1),
    "falling": (1, -1),
}
"""The direction in which the wave travels (right, down), by the direction of its stripes."""


def waved(
    pictures: Float[Tensor, "n 3 h w"], direction: Direction, cycles: float, strength: float
) -> Float[Tensor, "n 3 h w"]:
    """The images with a sine added to every channel, which shows as grey stripes.

    cycles: how many from edge to edge. strength: the amplitude in grey levels of 255.
    """
    height, width = pictures.shape[2:]
    x, y = pixel_centres(height, width)
    right, down = HEADINGS[direction]
    wave = torch.sin(tau * cycles * (right * x / width + down * y / height))
    return (pictures + strength / 255 * wave).clamp(0, 1)


# --------------------------------------------------------------------- tint


def tinted(
    pictures: Float[Tensor, "n 3 h w"], gains: tuple[float, float, float]
) -> Float[Tensor, "n 3 h w"]:
    """The images with red, green and blue multiplied by these gains."""
    return (pictures * torch.tensor(gains).view(3, 1, 1)).clamp(0, 1)


# -------------------------------------------------------------------- warps

COURSES: dict[Course, tuple[int, int]] = {
    "across": (1, 0),
    "down": (0, 1),
    "rising": (1, -1),
    "falling": (1, 1),
}
"""The line along which pixels are displaced, as (right, down)."""


def warped(
    pictures: Float[Tensor, "n 3 h w"], course: Course, waves: float, amount: float
) -> Float[Tensor, "n 3 h w"]:
    """The images warped by a sine: pixels are displaced along the course, in both directions.

    waves: how many, from edge to edge, perpendicular to the course. amount: the largest
    displacement in pixels. Bilinear; beyond its edges an image is mirrored.
    """
    height, width = pictures.shape[2:]
    x, y = pixel_centres(height, width)
    right, down = (step / hypot(*COURSES[course]) for step in COURSES[course])
    shift = amount * torch.sin(tau * waves * (right * y / height - down * x / width))
    sources = [2 * (x + shift * right) / width - 1, 2 * (y + shift * down) / height - 1]
    return F.grid_sample(
        pictures,
        torch.stack(sources, -1).expand(len(pictures), -1, -1, -1),
        padding_mode="reflection",
        align_corners=False,
    )
