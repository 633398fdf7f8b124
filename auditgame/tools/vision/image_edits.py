"""Edits of a box in images: crop, paste, erase, rotate the hue."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.schema.errors import Invalid
from auditgame.schema.graders import Box
from auditgame.tools.vision.pixel_attribution import blurred

Pictures = Float[Tensor, "n 3 h w"]


def require_inside(box: Box, pictures: Pictures) -> None:
    """Raise AuditgameError where the box reaches outside the images."""
    height, width = pictures.shape[2:]
    if box.x + box.w > width or box.y + box.h > height:
        raise Invalid(
            f"box: {box.w} x {box.h} at {box.x}, {box.y} reaches outside the "
            f"{width} x {height} image; make it smaller or move it"
        )


def shifted(box: Box, right: int, down: int, pictures: Pictures) -> Box:
    """The shifted box; AuditgameError where it would leave the images."""
    if box.x + right < 0 or box.y + down < 0:
        raise Invalid("right, down: the box would leave the image; shift it less")
    there = box.model_copy(update={"x": box.x + right, "y": box.y + down})
    require_inside(there, pictures)
    return there


def crop(pictures: Pictures, box: Box) -> Float[Tensor, "n 3 y x"]:
    """The crops of the images in the box."""
    require_inside(box, pictures)
    return pictures[:, :, box.y : box.y + box.h, box.x : box.x + box.w]


def paste(pictures: Pictures, part: Float[Tensor, "m 3 y x"], box: Box) -> Pictures:
    """The images with `part` pasted into the box; one part for all of them, or one for each."""
    pasted = pictures.clone()
    crop(pasted, box)[:] = part
    return pasted


def erase(pictures: Pictures, box: Box, colour: Float[Tensor, "3"] | None = None) -> Pictures:
    """The images with the box filled with one colour, or with its blurred surroundings.

    The blur uses pixels outside the box only, so that nothing of the erased part remains.
    """
    if colour is not None:
        return paste(pictures, colour[None, :, None, None], box)
    outside = torch.ones(1, *pictures.shape[2:])
    crop(outside[None], box)[:] = 0
    spread = max(box.w, box.h) / 2
    weight = blurred(outside, spread).clamp(min=1e-6)
    soft = torch.stack([blurred(picture * outside, spread) / weight for picture in pictures])
    return paste(pictures, crop(soft, box), box)


def rotate_hue(pictures: Pictures, degrees: float) -> Pictures:
    """The images with every hue rotated; value and saturation (HSV) stay.

    The colour circle of Smith 1978, Color gamut transform pairs (doi:10.1145/965139.807361).
    """
    top, low = pictures.amax(1), pictures.amin(1)
    spread = top - low
    red, green, blue = pictures.unbind(1)
    hue = torch.where(
        top == red,
        (green - blue) / spread,
        torch.where(top == green, 2 + (blue - red) / spread, 4 + (red - green) / spread),
    )
    hue = torch.where(spread > 0, hue, 0.0) + degrees / 60
    steps = torch.tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    place = (steps + hue[:, None]) % 6
    return top[:, None] - spread[:, None] * torch.minimum(place, 4 - place).clamp(0, 1)
