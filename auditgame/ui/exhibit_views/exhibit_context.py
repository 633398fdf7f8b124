"""How an exhibit is put before the eye: under which key, on which scale, leading where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from auditgame.exhibits import (
    Curve,
    Exhibit,
    FollowUp,
    Grid,
    HeatMap,
    Tokens,
)

Go = Callable[[str, Mapping[str, Any]], None]
"""Opens the tool of this name with these options."""


class ColourRange(NamedTuple):
    """From which number to which a scale reaches."""

    low: float
    high: float


class ExhibitContext(NamedTuple):
    """What an exhibit is drawn with.

    key: tells its controls from those of others. go: follows a click; None where nothing may
    be clicked. span: the scale; None for the exhibit's own.
    """

    key: str
    go: Go | None = None
    colour_range: ColourRange | None = None

    def follow(self, lead: FollowUp | None, column: int, row: int = 0) -> None:
        """Go where a word or a cell leads; the place came from a browser, and may lead nowhere."""
        if self.go and lead is not None:
            self.go(lead.tool, lead.at(column, row))


def colour_range(exhibits: Sequence[Exhibit]) -> ColourRange | None:
    """One scale for all of these, so that they can be compared; None where there is none."""
    numbers = [number for exhibit in exhibits for number in _numbers(exhibit)]
    return ColourRange(min(numbers), max(numbers)) if numbers else None


def _numbers(exhibit: Exhibit) -> list[float]:
    match exhibit:
        case Grid():
            return [value for row in exhibit.values for value in row]
        case Tokens() | HeatMap():
            return [-exhibit.limit, exhibit.limit]
        case Curve():
            return [y for line in exhibit.series.values() for _, y in line]
    return []
