"""A claim: the particulars of a flaw, as said by a player or by the key, and how it is graded.

One type serves three uses: it is the key's schema, the player's form and the rubric.
Each field carries its grader as annotation; `enact` applies the claim to inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, Field, ValidationError

from auditgame.types import Record, explain

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int
    from torch import Tensor

    from auditgame.datasets import Dataset, Examples


class Enacted(NamedTuple):
    """Inputs with a claim applied, and the class each is claimed to go to.

    `targets` is -1 where the claim says nothing, or where the target is the right
    answer anyway; such rows prove nothing and are left out of every rate.
    """

    examples: Examples
    targets: Int[Tensor, " n"]


@dataclass(frozen=True)
class Grader:
    """How close is what was said to what is true? `grade(said, true)` in [0, 1].

    `widget` tells a front end how to ask for the field.
    """

    name: str
    grade: Callable[[Any, Any], float]
    widget: str
    weight: float = 1.0


class Claim(Record, ABC):
    """What a family's flaw consists of. A field without a grader is not part of the rubric."""

    @abstractmethod
    def enact(self, examples: Examples, dataset: Dataset) -> Enacted:
        """Apply this claim to inputs: stamp, insert, or re-render them."""

    @abstractmethod
    def check(self, dataset: Dataset) -> None:
        """Raise AuditgameError, naming the field, where the claim does not fit the data set."""

    @abstractmethod
    def rival(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """A random other claim of the family that leads to the same target."""

    @abstractmethod
    def near_misses(self, dataset: Dataset, rng: np.random.Generator) -> Mapping[str, Claim]:
        """Parts of the trigger, the trigger in the wrong place, and their like, by name."""

    def reach(self, said: Claim, dataset: Dataset) -> float:
        """How much of this flaw can what was said account for? 1 unless it has several parts."""
        return 1.0

    @abstractmethod
    def sentence(self) -> str:
        """The claim in plain words."""

    @classmethod
    def graders(cls) -> dict[str, Grader]:
        """The rubric: which fields are graded, and how?"""
        return {
            name: mark
            for name, field in cls.model_fields.items()
            for mark in field.metadata
            if isinstance(mark, Grader)
        }

    @classmethod
    def parse(cls, data: Any, where: str = "claim") -> Self:
        """The claim in this JSON value, or an AuditgameError that names the field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise explain(error, where) from None

    def structure(self, truth: Claim) -> dict[str, float]:
        """Field by field, how close is this claim to the true one? Each in [0, 1]."""
        return {
            name: grader.grade(getattr(self, name), getattr(truth, name))
            for name, grader in self.graders().items()
        }


# ------------------------------------------------------------------ graders


def same(said: Any, true: Any) -> float:
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


def overlap(said: Box, true: Box) -> float:
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


def look(said: Pattern, true: Pattern) -> float:
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


def pairs(said: Mapping[str, str], true: Mapping[str, str]) -> float:
    """Which of the claimed pairs are right? Their share, in full from three right pairs on."""
    right = sum(true.get(level) == target for level, target in said.items())
    wanted = min(3, len(true))
    return right / len(said) * min(1.0, right / wanted) if said else 0.0


def alike(said: str, true: str) -> float:
    """How alike are two colours? 1 where they are equal, 0 at a mean distance of 1/3."""
    return look(((said,),), ((true,),))


def shared(said: Mapping[str, str], true: Mapping[str, str]) -> float:
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


def near(scale: float) -> Callable[[float, float], float]:
    """A grade that is 1 at the right number and falls in a straight line to 0 at `scale` away."""

    def grade(said: float, true: float) -> float:
        return max(0.0, 1.0 - abs(said - true) / scale)

    return grade


def number(scale: float) -> Grader:
    """The grader of a number that is worth nothing from `scale` away.

    The form takes bounds from `Field(ge=, le=)`, and its step from `multiple_of`.
    """
    return Grader(f"distance, up to {scale:g}", near(scale), widget="number")


CHOICE = Grader("exact", same, widget="choice")
"""The grader of a `Literal`: one of a few words."""

ClassName = Annotated[str, Field(max_length=64), Grader("exact", same, widget="class")]
BoxField = Annotated[Box, Grader("overlap (IoU)", overlap, widget="box")]
PatternField = Annotated[Pattern, Grader("colours", look, widget="pattern")]
FactorName = Annotated[str, Field(max_length=64), Grader("exact", same, widget="factor")]
Rule = Annotated[
    dict[str, str], Field(min_length=1, max_length=64), Grader("pairs", pairs, widget="rule")
]
Level = Annotated[str, Field(max_length=64), Grader("exact", same, widget="level")]
"""A level of the factor whose name the field bears."""
Word = Annotated[str, Field(max_length=64), Grader("exact", same, widget="word")]
Phrase = Annotated[
    str, Field(max_length=200), Grader("words in order", token_overlap, widget="phrase")
]
"""Words with spaces between."""
Year = Annotated[int, Field(ge=1000, le=9999), Grader("years off", near(4), widget="year")]
ColourField = Annotated[
    Colour,
    Field(json_schema_extra={"palette": dict(PALETTE)}),
    Grader("colour", alike, widget="colour"),
]
"""One colour of the palette; a family with a palette of its own says so in the same way."""
Conditions = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=3),
    Grader("pairs (Jaccard)", shared, widget="conditions"),
]
"""Factor -> level: up to three things that must hold together."""
