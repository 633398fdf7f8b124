"""Small patterns laid over pictures: drawing them, laying them, comparing them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from auditgame.claims import Box, Grader, Pattern, look, overlap, rgb
from auditgame.datasets import Dataset
from auditgame.types import AuditgameError, Record

RED, BLUE, GREEN, YELLOW = "#e6261f", "#1f5fe6", "#22b14c", "#ffd51f"
PINK, CYAN, WHITE, BLACK = "#ff5fc8", "#19d3d3", "#ffffff", "#101010"
PALETTE = (RED, BLUE, GREEN, YELLOW, PINK, CYAN, WHITE, BLACK)
LARGEST = 9
"""What is stamped may cover one ninth of the picture, so that no adversarial picture passes."""
MOST = 6
"""How many stamps a claim may name."""


class Stamp(Record):
    """A pattern, stretched to a box."""

    box: Box
    pattern: Pattern

    def match(self, true: Self) -> float:
        """How close is it to the true stamp? Half by place and size, half by look; in [0, 1]."""
        return (overlap(self.box, true.box) + look(self.pattern, true.pattern)) / 2


class AimedStamp(Stamp):
    """A stamp, and the class that it sends pictures to."""

    target: Annotated[str, Field(max_length=64)]

    def match(self, true: Self) -> float:
        """The same; half of that where it is aimed at the wrong class."""
        return super().match(true) * (1.0 if self.target == true.target else 0.5)


def matched(said: Sequence[Stamp], true: Sequence[Stamp]) -> float:
    """How close are two sets of stamps? The sum of the best one-to-one matching, in [0, 1].

    It is divided by the size of the larger set: what is missing costs, and so does what
    is claimed beyond the truth. Matching: Kuhn 1955 (scipy.optimize.linear_sum_assignment).
    """
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


def strew(
    pictures: Float[Tensor, "n 3 h w"], box: Box, pattern: Pattern, region: Box
) -> Float[Tensor, "n 3 h w"]:
    """The same with a place for each picture, wholly inside a region; of the box the size counts.

    The place is drawn from the picture's own pixels (as whole numbers of 0 to 255), so the
    same picture always gets the same one.
    """
    stamped, pixels = pictures.clone(), _pixels(box, pattern)
    across, down = region.w - box.w + 1, region.h - box.h + 1
    for picture, lot in zip(stamped, _lots(pictures), strict=True):
        x, y = region.x + lot % across, region.y + lot // across % down
        picture[:, y : y + box.h, x : x + box.w] = pixels
    return stamped


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
