"""Graders: how close a claimed value is to the true one, and the field types that carry them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from auditgame.schema.records import Record


@dataclass(frozen=True)
class Grader:
    """How close a claimed value is to the true one: `grade(claimed, true)` in [0, 1].

    widget: the kind of form field with which a front end asks for the value.
    """

    name: str
    grade: Callable[[Any, Any], float]
    widget: str


def exact_match(claimed: Any, true: Any) -> float:
    """1 where both are equal, else 0."""
    return float(claimed == true)


class Box(Record):
    """A rectangle in pixels: left, top, width, height."""

    x: Annotated[int, Field(ge=0, le=1024)]
    y: Annotated[int, Field(ge=0, le=1024)]
    w: Annotated[int, Field(ge=1, le=1024)]
    h: Annotated[int, Field(ge=1, le=1024)]

    @property
    def area(self) -> int:
        """The number of pixels in it."""
        return self.w * self.h


def iou(claimed: Box, true: Box) -> float:
    """Intersection over union of two boxes (Jaccard index)."""
    w = min(claimed.x + claimed.w, true.x + true.w) - max(claimed.x, true.x)
    h = min(claimed.y + claimed.h, true.y + true.h) - max(claimed.y, true.y)
    common = max(w, 0) * max(h, 0)
    return common / (claimed.area + true.area - common)


def _rectangular(rows: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    if len({len(row) for row in rows}) > 1:
        raise ValueError("every row of the pattern needs the same number of colours")
    return rows


Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


Pattern = Annotated[
    tuple[Annotated[tuple[Colour, ...], Field(min_length=1, max_length=64)], ...],
    Field(min_length=1, max_length=64),
    AfterValidator(_rectangular),
]


PALETTE = {
    "red": "#e6261f",
    "blue": "#1f5fe6",
    "green": "#22b14c",
    "yellow": "#ffd51f",
    "pink": "#ff5fc8",
    "cyan": "#19d3d3",
    "white": "#ffffff",
    "black": "#101010",
}
"""Bright colours that have a name."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of `#rrggbb`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def pattern_similarity(claimed: Pattern, true: Pattern) -> float:
    """Similarity of two patterns: 1 at equal colours, 0 at a mean distance of 1/3 of the range.

    The claimed pattern is stretched to the true one's grid (nearest neighbour), so a
    coarse drawing and a pixel-exact crop are graded alike.
    """
    height, width = len(true), len(true[0])
    distance = sum(
        abs(a - b) / 255
        for row in range(height)
        for col in range(width)
        for a, b in zip(
            rgb(claimed[row * len(claimed) // height][col * len(claimed[0]) // width]),
            rgb(true[row][col]),
            strict=True,
        )
    ) / (3 * height * width)
    return max(0.0, 1.0 - 3.0 * distance)


def rule_agreement(claimed: Mapping[str, str], true: Mapping[str, str]) -> float:
    """Share of the claimed pairs that are right; full marks need three right pairs."""
    right = sum(true.get(level) == target for level, target in claimed.items())
    wanted = min(3, len(true))
    return right / len(claimed) * min(1.0, right / wanted) if claimed else 0.0


def colour_similarity(claimed: str, true: str) -> float:
    """Similarity of two colours: 1 where they are equal, 0 at a mean distance of 1/3."""
    return pattern_similarity(((claimed,),), ((true,),))


def jaccard(claimed: Mapping[str, str], true: Mapping[str, str]) -> float:
    """Pairs that both name, as a share of those that either names (Jaccard index)."""
    either = claimed.items() | true.items()
    return len(claimed.items() & true.items()) / len(either) if either else 1.0


def token_overlap(claimed: str, true: str) -> float:
    """Share of the words of two phrases that both have in the same order.

    Twice the length of the longest common subsequence, over the words of both together.
    """
    words, common = true.lower().split(), [0] * (len(true.split()) + 1)
    for word in claimed.lower().split():
        row = [0]
        for k, other in enumerate(words):
            row.append(common[k] + 1 if word == other else max(common[k + 1], row[k]))
        common = row
    return 2 * common[-1] / max(1, len(claimed.split()) + len(words))


def linear_falloff(scale: float) -> Callable[[float, float], float]:
    """A grade that is 1 at the right number and falls linearly to 0 at a distance of `scale`."""

    def grade(claimed: float, true: float) -> float:
        return max(0.0, 1.0 - abs(claimed - true) / scale)

    return grade


def number(scale: float) -> Grader:
    """The grader of a number: 0 from a distance of `scale` on.

    The form takes bounds from `Field(ge=, le=)`, and its step from `multiple_of`.
    """
    return Grader(f"distance, up to {scale:g}", linear_falloff(scale), widget="number")


CHOICE = Grader("exact", exact_match, widget="choice")
"""The grader of a `Literal`: one of a few words."""


ClassName = Annotated[str, Field(max_length=64), Grader("exact", exact_match, widget="class")]


BoxField = Annotated[Box, Grader("overlap (IoU)", iou, widget="box")]


PatternField = Annotated[Pattern, Grader("colours", pattern_similarity, widget="pattern")]


FactorName = Annotated[str, Field(max_length=64), Grader("exact", exact_match, widget="factor")]


Rule = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=64),
    Grader("pairs", rule_agreement, widget="rule"),
]


Level = Annotated[str, Field(max_length=64), Grader("exact", exact_match, widget="level")]
"""A level of the factor that the field is named after."""


Word = Annotated[str, Field(max_length=64), Grader("exact", exact_match, widget="word")]


Phrase = Annotated[
    str, Field(max_length=200), Grader("words in order", token_overlap, widget="phrase")
]
"""Words with spaces between."""


Year = Annotated[
    int, Field(ge=1000, le=9999), Grader("years off", linear_falloff(4), widget="year")
]


ColourField = Annotated[
    Colour,
    Field(json_schema_extra={"palette": dict(PALETTE)}),
    Grader("colour", colour_similarity, widget="colour"),
]
"""One colour of the palette; a family may state a palette of its own in the same way."""


Conditions = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=3),
    Grader("pairs (Jaccard)", jaccard, widget="conditions"),
]
"""Factor -> level: up to three conditions that must hold together."""
