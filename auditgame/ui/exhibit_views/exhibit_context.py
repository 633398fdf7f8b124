"""How an exhibit is drawn: with which keys, on which scale, and what a click opens."""

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

OpenTool = Callable[[str, Mapping[str, Any]], None]
"""Opens the tool of this name with these options."""


class ColourRange(NamedTuple):
    """The lowest and the highest number of a scale."""

    low: float
    high: float


class ExhibitContext(NamedTuple):
    """What an exhibit is drawn with.

    key: the prefix of its widgets' keys. open_tool: called on a click; None where nothing can be
    clicked. colour_range: the scale; None for the exhibit's own.
    """

    key: str
    open_tool: OpenTool | None = None
    colour_range: ColourRange | None = None

    def follow(self, target: FollowUp | None, column: int, row: int = 0) -> None:
        """Open the tool that a word or a cell leads to, if there is one."""
        if self.open_tool and target is not None:
            self.open_tool(target.tool, target.at(column, row))


def colour_range(exhibits: Sequence[Exhibit]) -> ColourRange | None:
    """One scale for all of these, so that they can be compared; None where they have no numbers."""
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
