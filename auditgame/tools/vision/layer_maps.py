"""Convolutional layers: choosing one, and relating its positions to the image."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from auditgame.schema.errors import Invalid
from auditgame.schema.graders import Box
from auditgame.schema.records import Record
from auditgame.specimen import Specimen

LayerField = Annotated[
    str,
    Field(
        title="Layer",
        description="A convolution; empty for the third (the last, if fewer).",
        max_length=64,
        json_schema_extra={"widget": "site"},
    ),
]
"""The option for a layer."""


def layers(specimen: Specimen) -> list[str]:
    """The sites with channels, after their ReLU, in the order of the forward pass."""
    sites = specimen.sites.values()
    return [s.name for s in sites if s.kind == "channel" and not s.name.endswith(".pre")]


def layer(specimen: Specimen, name: str) -> str:
    """The site of this name, or the default one; AuditgameError where it has no channels."""
    known = layers(specimen)
    if not known:
        raise Invalid(f"site: model '{specimen.model_name}' has no convolutional layer")
    default = specimen.map_site or known[min(2, len(known) - 1)]
    if name and specimen.site(name).kind != "channel":
        raise Invalid(f"site: '{name}' has no channels; choose {default}")
    return name or default


class Subject(NamedTuple):
    """One image, its name, and its row in the pool (None: uploaded)."""

    image: Float[Tensor, "c h w"]
    name: str
    row: int | None


class OnePicture(Record):
    """The option for one image."""

    example: Annotated[int, Field(title="Example", description="Its number in the pool.", ge=0)] = 0
    picture: Annotated[
        bool,
        Field(
            title="Use my image",
            description="Use the uploaded image instead of one of the pool.",
            json_schema_extra={"widget": "picture"},
        ),
    ] = False


def subject(
    options: OnePicture,
    pool: Float[Tensor, "n c h w"],
    picture: Float[Tensor, "c h w"] | None,
) -> Subject:
    """The chosen image; AuditgameError where it does not exist."""
    if options.picture:
        if picture is None:
            raise Invalid("picture: none was uploaded; add one, or choose from the pool")
        return Subject(picture, "your image", None)
    if options.example >= len(pool):
        raise Invalid(f"example: {options.example} is outside 0 to {len(pool) - 1}")
    return Subject(pool[options.example], f"#{options.example}", options.example)


def under(box: Box, size: tuple[int, int], picture: tuple[int, int]) -> Bool[Tensor, "a b"]:
    """The positions of a map of this size that overlap a box in the image; at least one."""
    rows = _meets(box.y, box.y + box.h, size[0], picture[0])
    columns = _meets(box.x, box.x + box.w, size[1], picture[1])
    return rows[:, None] & columns[None]


def _meets(start: int, end: int, count: int, length: int) -> Bool[Tensor, " count"]:
    edges = torch.arange(count + 1) * length / count
    return (edges[:-1] < end) & (edges[1:] > start)


def patch(
    image: Float[Tensor, "c h w"], place: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "c s s"]:
    """The image patch around a position of a map: three positions wide, inside the image."""
    height, width = image.shape[1:]
    side = min(height, width, max(4, round(3 * max(height / size[0], width / size[1]))))
    middles = ((place[0] + 0.5) * height / size[0], (place[1] + 0.5) * width / size[1])
    top, left = (
        min(max(0, round(middle - side / 2)), length - side)
        for middle, length in zip(middles, (height, width), strict=True)
    )
    return image[:, top : top + side, left : left + side]
