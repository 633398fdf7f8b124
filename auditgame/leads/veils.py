"""What lies over the whole of the pictures that go wrong? Stripes, tints and ripples, by trial.

Each of these families has so few claims that a coarse grid of them can be enacted in turn;
the best are then made finer, one number at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, get_args

from auditgame.filters import Course, Direction
from auditgame.leads import Clues, Lead, Suspect, Tried
from auditgame.leads.trying import finest

GROUPS = 2
"""So many of the classes that are wrongly said are followed."""
CYCLES, STRENGTH = range(2, 13), 26
LOW, HIGH = 0.65, 1.5
WAVES, BEND = range(1, 9), 12.5
"""What the grids hold: numbers of stripes, gains, waves (bent as much whatever their number)."""

Grid = Iterable[dict[str, Any]]


def stripes() -> Grid:
    """Stripes of every direction and number."""
    for direction, cycles in product(get_args(Direction), CYCLES):
        yield {"direction": direction, "cycles": cycles, "strength": STRENGTH}


def tints() -> Grid:
    """Every channel lowered, left alone or raised; not all of them alike."""
    for gains in product((LOW, 1.0, HIGH), repeat=3):
        if len(set(gains)) > 1:
            yield dict(zip(("red", "green", "blue"), gains, strict=True))


def ripples() -> Grid:
    """Ripples of every course and number."""
    for course, waves in product(get_args(Course), WAVES):
        amount = min(8.0, round(2 * BEND / waves) / 2)
        yield {"course": course, "waves": waves, "amount": amount}


GRIDS: dict[str, tuple[Grid, dict[str, float]]] = {
    "sinusoid": (list(stripes()), {"cycles": 1, "strength": 6}),
    "tint": (list(tints()), {"red": 0.15, "green": 0.15, "blue": 0.15}),
    "warp": (list(ripples()), {"waves": 1, "amount": 1.0}),
}
"""Each family's claims but for the target, and the steps by which its numbers are made finer."""


def follow(clues: Clues) -> Iterator[Tried]:
    """The best claim of each of these families that is offered."""
    for family in clues.listed(*GRIDS):
        grid, steps = GRIDS[family]
        suspects = [
            Suspect(family, {"target": target, **claim})
            for target in clues.groups()[:GROUPS]
            for claim in grid
        ]
        yield from finest(clues.desk, suspects, steps)


VEILS = Lead(frozenset(GRIDS), follow)
