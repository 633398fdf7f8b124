"""Graders: how close a claimed value is to the true one, and the field types that carry them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from auditgame.schema.records import Record


@dataclass(frozen=True)
class Grader:
    """How close is what was said to what is true? `grade(said, true)` in [0, 1].

    `widget` tells a front end how to ask for the field.
    """

    name: str
    grade: Callable[[Any, Any], float]
    widget: str
    weight: float = 1.0


def exact_match(said: Any, true: Any) -> float:
    """1 where both are equal, else 0."""
    return float(said == true)


class Box(Record):
    """A rectangle in pixels: left, top, width, height."""

    x: Annotated[int, Field(ge=0, le=1024)]
    y: Annotated[int, Field(ge=0, le=1024)]
    w: Annotated[int, Field(ge=1, le=1024)]
    h: Annotated[int, Field(ge=1, le=1024)]

    @property
    def area(self) -> int:
        """How many pixels does it cover?"""
        return self.w * self.h


def iou(said: Box, true: Box) -> float:
    """Intersection over union of two boxes (Jaccard index)."""
    w = min(said.x + said.w, true.x + true.w) - max(said.x, true.x)
    h = min(said.y + said.h, true.y + true.h) - max(said.y, true.y)
    common = max(w, 0) * max(h, 0)
    return common / (said.area + true.area - common)


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


def pattern_similarity(said: Pattern, true: Pattern) -> float:
    """How alike are two patterns? 1 at equal colours, 0 at a mean distance of 1/3 of the range.

    The claimed pattern is stretched to the true one's grid (nearest neighbour), so a
    coarse drawing and a pixel-exact crop are graded alike.
    """
    height, width = len(true), len(true[0])
    distance = sum(
        abs(a - b) / 255
        for row in range(height)
        for col in range(width)
        for a, b in zip(
            rgb(said[row * len(said) // height][col * len(said[0]) // width]),
            rgb(true[row][col]),
            strict=True,
        )
    ) / (3 * height * width)
    return max(0.0, 1.0 - 3.0 * distance)


def rule_agreement(said: Mapping[str, str], true: Mapping[str, str]) -> float:
    """Which of the claimed pairs are right? Their share, in full from three right pairs on."""
    right = sum(true.get(level) == target for level, target in said.items())
    wanted = min(3, len(true))
    return right / len(said) * min(1.0, right / wanted) if said else 0.0


def colour_similarity(said: str, true: str) -> float:
    """How alike are two colours? 1 where they are equal, 0 at a mean distance of 1/3."""
    return pattern_similarity(((said,),), ((true,),))


def jaccard(said: Mapping[str, str], true: Mapping[str, str]) -> float:
    """Share of the pairs named by either side that both name (Jaccard index)."""
    either = said.items() | true.items()
    return len(said.items() & true.items()) / len(either) if either else 1.0


def token_overlap(said: str, true: str) -> float:
    """Of all words of two phrases, the share that both have in the same order.

    Twice the length of the longest common subsequence, over the words of both together.
    """
    words, common = true.lower().split(), [0] * (len(true.split()) + 1)
    for word in said.lower().split():
        row = [0]
        for k, mine in enumerate(words):
            row.append(common[k] + 1 if word == mine else max(common[k + 1], row[k]))
        common = row
    return 2 * common[-1] / max(1, len(said.split()) + len(words))


def linear_falloff(scale: float) -> Callable[[float, float], float]:
    """A grade that is 1 at the right number and falls in a straight line to 0 at `scale` away."""

    def grade(said: float, true: float) -> float:
        return max(0.0, 1.0 - abs(said - true) / scale)

    return grade


def number(scale: float) -> Grader:
    """The grader of a number that is worth nothing from `scale` away.

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
"""A level of the factor whose name the field bears."""


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
"""One colour of the palette; a family with a palette of its own says so in the same way."""


Conditions = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=3),
    Grader("pairs (Jaccard)", jaccard, widget="conditions"),
]
"""Factor -> level: up to three things that must hold together."""
