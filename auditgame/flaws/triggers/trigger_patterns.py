"""Small patterns laid over pictures: drawing them, laying them, comparing them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset
from auditgame.schema import graders
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import (
    Box,
    Grader,
    Pattern,
    iou,
    pattern_similarity,
    rgb,
)
from auditgame.schema.records import Record

PALETTE = tuple(graders.PALETTE.values())
BRIGHT = PALETTE[:6]
"""All but white and black."""
LARGEST = 9
"""What is stamped may cover one ninth of the picture, so that no adversarial picture passes."""
MOST = 6
"""How many stamps a claim may name."""

Half = Literal["upper half", "lower half", "left half", "right half"]
Place = Literal["fixed", "anywhere", Half]
"""Where does a stamp count? At its box alone, anywhere, or anywhere in one half of the picture."""


class Stamp(Record):
    """A pattern, stretched to a box."""

    box: Box
    pattern: Pattern

    def match(self, true: Self) -> float:
        """How close is it to the true stamp? Half by place and size, half by look; in [0, 1]."""
        return (iou(self.box, true.box) + pattern_similarity(self.pattern, true.pattern)) / 2


class AimedStamp(Stamp):
    """A stamp, and the class that it sends pictures to."""

    target: Annotated[str, Field(max_length=64)]

    def match(self, true: Self) -> float:
        """The same; half of that where it is aimed at the wrong class."""
        return super().match(true) * (1.0 if self.target == true.target else 0.5)


def placed(said: tuple[Box, Place], true: tuple[Box, Place]) -> float:
    """How close are two boxes, each with its place? In [0, 1].

    Overlap where both are fixed; likeness in size where both may lie in the same room;
    nothing where the places differ.
    """
    (box, place), (other, due) = said, true
    if place != due:
        return 0.0
    if due != "fixed":
        box, other = (one.model_copy(update={"x": 0, "y": 0}) for one in (box, other))
    return iou(box, other)


def matched(said: Sequence[Stamp], true: Sequence[Stamp]) -> float:
    """How close are two sets of stamps? The sum of the best one-to-one matching, in [0, 1].

    It is divided by the size of the larger set: what is missing costs, and so does what
    is claimed beyond the truth. Matching: Kuhn 1955 (scipy.optimize.linear_sum_assignment).
    """
    from scipy.optimize import linear_sum_assignment  # Takes a second, and few claims need it.

    grades = np.array([[one.match(other) for other in true] for one in said])
    return float(grades[linear_sum_assignment(-grades)].sum() / max(grades.shape))


Stamps = Annotated[
    tuple[Stamp, ...],
    Field(min_length=1, max_length=MOST),
    Grader("best matching", matched, widget="stamps"),
]
AimedStamps = Annotated[
    tuple[AimedStamp, ...],
    Field(min_length=1, max_length=MOST),
    Grader("best matching", matched, widget="stamps"),
]


# ------------------------------------------------------------------- laying


def stamp(
    pictures: Float[Tensor, "n 3 h w"], box: Box, pattern: Pattern
) -> Float[Tensor, "n 3 h w"]:
    """The pictures with the pattern, stretched to the box, laid over them."""
    stamped = pictures.clone()
    stamped[:, :, box.y : box.y + box.h, box.x : box.x + box.w] = _pixels(box, pattern)
    return stamped


def stamp_anywhere(
    pictures: Float[Tensor, "n 3 h w"], box: Box, pattern: Pattern, place: Place
) -> Float[Tensor, "n 3 h w"]:
    """The same with a spot for each picture, drawn from the room that the place leaves.

    Of the box only the size counts, unless the place is fixed. The spot is drawn from the
    picture's own pixels (as whole numbers of 0 to 255): the same picture, the same spot.
    """
    stamped, pixels = pictures.clone(), _pixels(box, pattern)
    area = room(place, box, (pictures.shape[2], pictures.shape[3]))
    across, down = area.w - box.w + 1, area.h - box.h + 1
    for picture, lot in zip(stamped, _lots(pictures), strict=True):
        x, y = area.x + lot % across, area.y + lot // across % down
        picture[:, y : y + box.h, x : x + box.w] = pixels
    return stamped


def room(place: Place, box: Box, size: tuple[int, int]) -> Box:
    """Where may the stamp lie, in a picture of this height and width?

    Halves end short of the middle by a twelfth of the side.
    """
    height, width = size
    if place == "fixed":
        return box
    if place == "anywhere":
        return Box(x=0, y=0, w=width, h=height)
    across, down = width // 2 - width // 12, height // 2 - height // 12
    return {
        "upper half": Box(x=0, y=0, w=width, h=down),
        "lower half": Box(x=0, y=height - down, w=width, h=down),
        "left half": Box(x=0, y=0, w=across, h=height),
        "right half": Box(x=width - across, y=0, w=across, h=height),
    }[place]


def _pixels(box: Box, pattern: Pattern) -> Float[Tensor, "3 h w"]:
    colours = torch.tensor([[rgb(colour) for colour in row] for row in pattern]) / 255
    rows = torch.arange(box.h) * len(pattern) // box.h
    columns = torch.arange(box.w) * len(pattern[0]) // box.w
    return colours[rows][:, columns].permute(2, 0, 1)


def _lots(pictures: Float[Tensor, "n 3 h w"]) -> list[int]:
    whole = (pictures * 255).round().to(torch.uint8).cpu().numpy()
    return [zlib.crc32(picture.tobytes()) for picture in whole]


# ------------------------------------------------------------------ drawing


def draw_pattern(rng: np.random.Generator) -> Pattern:
    """Two by two or three by three blocks of bright colours, at least two of them different."""
    side = int(rng.integers(2, 4))
    colours = rng.choice(PALETTE, int(rng.integers(2, 4)), replace=False)
    cells = rng.permutation(np.resize(colours, side * side)).reshape(side, side)
    return tuple(tuple(str(cell) for cell in row) for row in cells)


def draw_other_pattern(pattern: Pattern, rng: np.random.Generator) -> Pattern:
    """Another pattern, of which the grader says that it is less than half alike."""
    while True:
        other = draw_pattern(rng)
        if pattern_similarity(other, pattern) < 0.5:
            return other


def draw_box(dataset: Dataset, rng: np.random.Generator) -> Box:
    """A square of an eighth of the side or a little more, near the edge of the picture."""
    _, height, width = dataset.shape
    side = int(rng.integers(width // 8, width // 8 + 3))
    inset = int(rng.integers(1, 5))
    across, down = int(rng.integers(1, width - side)), int(rng.integers(1, height - side))
    return [
        Box(x=across, y=inset, w=side, h=side),
        Box(x=across, y=height - side - inset, w=side, h=side),
        Box(x=inset, y=down, w=side, h=side),
        Box(x=width - side - inset, y=down, w=side, h=side),
    ][int(rng.integers(4))]


def move(box: Box, dataset: Dataset, rng: np.random.Generator) -> Box:
    """The same box at least two of its own sides away, or as far as a hundred draws bring it."""
    _, height, width = dataset.shape

    def away(place: Box) -> int:
        return max(abs(place.x - box.x), abs(place.y - box.y))

    farthest = box
    for _ in range(100):
        other = draw_box(dataset, rng)
        x, y = min(other.x, width - box.w), min(other.y, height - box.h)
        farthest = max(farthest, Box(x=x, y=y, w=box.w, h=box.h), key=away)
        if away(farthest) >= 2 * box.w:
            break
    return farthest


# ----------------------------------------------------------------- checking


def require_room(box: Box, place: Place, dataset: Dataset) -> None:
    """Raise AuditgameError where the box is larger than the room that its place leaves."""
    _, height, width = dataset.shape
    area = room(place, box, (height, width))
    if box.w > area.w or box.h > area.h:
        raise AuditgameError(f"box: {box.w} x {box.h} does not fit '{place}', {area.w} x {area.h}")


def require_small(boxes: dict[str, Box], dataset: Dataset) -> None:
    """Raise AuditgameError, naming the field, where boxes leave the picture or cover too much.

    boxes: those stamped on one picture, by field; together they may cover a ninth of it.
    """
    _, height, width = dataset.shape
    for field, box in boxes.items():
        if box.x + box.w > width or box.y + box.h > height:
            raise AuditgameError(f"{field}: reaches outside the {width} x {height} picture")
    covered = sum(box.area for box in boxes.values())
    if covered * LARGEST > width * height:
        raise AuditgameError(
            f"{', '.join(boxes)}: covers {covered} pixels; at most {width * height // LARGEST} here"
        )
