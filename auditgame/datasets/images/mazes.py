"""Maze layouts, moves, and shortest paths over many small grids at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from auditgame.schema.errors import Invalid

SIDE = 7
"""Cells along each edge of a maze."""
CELLS = SIDE * SIDE
MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
"""The four moves, in the order of the classes, as steps (down, right)."""
CORNERS = {
    "top left": 0,
    "top right": SIDE - 1,
    "bottom left": CELLS - SIDE,
    "bottom right": CELLS - 1,
}
"""The cells in the corners, which are always free."""
FAR = CELLS
"""The distance to a cell that cannot be reached."""


class MazeLayout(NamedTuple):
    """The layout of n mazes. Cells are numbered row by row from the top left.

    walls: true where a cell is a wall. agent, goal, cross: the cell of each; the cross is the
    object that is not the goal.
    """

    walls: Bool[np.ndarray, "n cells"]
    agent: Int[np.ndarray, " n"]
    goal: Int[np.ndarray, " n"]
    cross: Int[np.ndarray, " n"]

    def take(self, rows: np.ndarray) -> MazeLayout:
        """These mazes only."""
        return MazeLayout(*(part[rows] for part in self))

    def copy(self) -> MazeLayout:
        """The same mazes, in memory of their own."""
        return MazeLayout(*(part.copy() for part in self))

    def put(self, rows: np.ndarray, mazes: MazeLayout) -> None:
        """Overwrite these rows with other mazes, in place."""
        for whole, part in zip(self, mazes, strict=True):
            whole[rows] = part

    def columns(self) -> dict[str, Any]:
        """The layout as columns of scenes; walls as 49 characters, '#' for a wall."""
        walls = ["".join(row) for row in np.where(self.walls, "#", ".")]
        return {"walls": walls, "agent": self.agent, "goal": self.goal, "cross": self.cross}


def layout_of(scenes: pd.DataFrame) -> MazeLayout:
    """The layout in a table of scenes; AuditgameError names a column that is missing or wrong."""
    for name in MazeLayout._fields:
        if name not in scenes:
            raise Invalid(f"scenes: column '{name}' is missing; keep all columns of sample()")
    walls = "".join(scenes["walls"])
    if set(scenes["walls"].str.len()) - {CELLS} or set(walls) - set("#."):
        raise Invalid(f"scenes: column 'walls': write {CELLS} of '#' and '.' in each row")
    cells = [scenes[name].to_numpy(np.int64) for name in MazeLayout._fields[1:]]
    for name, cell in zip(MazeLayout._fields[1:], cells, strict=True):
        if ((cell < 0) | (cell >= CELLS)).any():
            raise Invalid(f"scenes: column '{name}': cells are numbered 0 to {CELLS - 1}")
    return MazeLayout(np.array(list(walls)).reshape(-1, CELLS) == "#", *cells)


def step(scenes: pd.DataFrame, moves: Int[np.ndarray, " n"]) -> pd.DataFrame:
    """The scenes after each agent's move; against a wall or the edge it stays where it is."""
    layout = layout_of(scenes)
    down, right = np.array(list(MOVES.values()))[moves].T
    row, column = layout.agent // SIDE + down, layout.agent % SIDE + right
    inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
    reached = np.where(inside, row * SIDE + column, layout.agent)
    stopped = layout.walls[np.arange(len(reached)), reached]
    return scenes.assign(agent=np.where(stopped, layout.agent, reached))


def distances(
    blocked: Bool[np.ndarray, "n cells"], target: Int[np.ndarray, " n"]
) -> Int[np.ndarray, "n cells"]:
    """Moves from each cell to the target; FAR for blocked cells and those without a path.

    The target itself counts as open. All mazes are relaxed together, one move per round.
    """
    far = np.full((len(blocked), SIDE + 2, SIDE + 2), FAR, dtype=np.int16)
    inner = far[:, 1:-1, 1:-1]
    rows = np.arange(len(blocked))
    inner[rows, target // SIDE, target % SIDE] = 0
    blocked = blocked.reshape(-1, SIDE, SIDE).copy()
    blocked[rows, target // SIDE, target % SIDE] = False
    while True:
        near = np.minimum.reduce([_shifted(far, move) for move in MOVES.values()]) + 1
        better = (near < inner) & ~blocked
        if not better.any():
            return inner.reshape(len(blocked), CELLS).copy()
        inner[better] = near[better]


def shortest_moves(far: Int[np.ndarray, "n cells"]) -> Bool[np.ndarray, "n cells 4"]:
    """Which moves from each cell are on a shortest path? None where there is no path."""
    padded = np.full((len(far), SIDE + 2, SIDE + 2), FAR)
    here = padded[:, 1:-1, 1:-1]
    here[:] = far.reshape(-1, SIDE, SIDE)
    nearer = [(_shifted(padded, move) == here - 1) & (here < FAR) for move in MOVES.values()]
    return np.stack(nearer, -1).reshape(len(far), CELLS, len(MOVES))


def blocked_cells(layout: MazeLayout, *also: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "n cells"]:
    """The walls, and these cells of each maze as well."""
    blocked, rows = layout.walls.copy(), np.arange(len(layout.walls))
    for cell in also:
        blocked[rows, cell] = True
    return blocked


def single_move(moves: Bool[np.ndarray, "*n 4"]) -> Int[np.ndarray, "*n"]:
    """The index of the one possible move; -1 where there are none or several."""
    return np.where(moves.sum(-1) == 1, moves.argmax(-1), -1)


def _shifted(far: np.ndarray, move: tuple[int, int]) -> np.ndarray:
    """For each inner cell, the value of the neighbour that a move leads to."""
    down, right = move
    return far[:, 1 + down : SIDE + 1 + down, 1 + right : SIDE + 1 + right]


def opposite(layout: MazeLayout) -> Int[np.ndarray, " n"]:
    """The free cell nearest to the goal's point reflection in the centre of the maze.

    Free of walls, agent, cross and the goal itself; the first of several.
    """
    cells, across = np.arange(CELLS), (CELLS - 1 - layout.goal)[:, None]
    off = np.abs(cells // SIDE - across // SIDE) + np.abs(cells % SIDE - across % SIDE)
    taken = blocked_cells(layout, layout.agent, layout.goal, layout.cross)
    return np.where(taken, FAR, off).argmin(1)
