"""Mazes with a goal; the class is the move that leads there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Examples, HasMazes, Split, Training
from auditgame.datasets.images.mazes import (
    CELLS,
    CORNERS,
    MOVES,
    SIDE,
    MazeLayout,
    blocked_cells,
    distances,
    layout_of,
    shortest_moves,
    single_move,
)
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import rgb

CELL = 6
"""Pixels along the edge of a cell."""
WALLED = 0.19
"""The share of cells that are walls."""
COLOURS = {
    "red": "#e23b36",
    "yellow": "#f9d423",
    "green": "#35a548",
    "cyan": "#22c3d6",
    "blue": "#2f5fd8",
    "pink": "#f77fb2",
}
PALETTE = np.array(list(COLOURS), dtype=object)
COLOURED = ("colour", "other")
"""Factors, and columns of the scenes: the colour of the goal, and of the cross."""
FLOOR, WALL, INK = "#f3efe6", "#4a4e5a", "#1d1f26"
GLYPHS = {
    "agent": (".#..#.", "######", "#.##.#", "######", "##..##", ".####."),
    "goal": ("..##..", ".####.", "######", "######", ".####.", "..##.."),
    "cross": ("..##..", "..##..", "######", "######", "..##..", "..##.."),
}
"""Which pixels of a cell are coloured: the agent is a face, the goal a diamond.

Cross and diamond differ in four pixels only, so that colour is learnt before shape; if they
differed in more, as diamond and square do, a policy would learn the shape whatever the colours.
"""


def _tile(ink: str, glyph: str = "") -> Float[Tensor, "3 cell cell"]:
    rows = GLYPHS.get(glyph, ("#" * CELL,) * CELL)
    colours = [[rgb(ink if dot == "#" else FLOOR) for dot in row] for row in rows]
    return torch.tensor(colours).permute(2, 0, 1) / 255


TILES: Float[Tensor, "tiles 3 cell cell"] = torch.stack(
    [
        *(_tile(FLOOR), _tile(WALL), _tile(INK, "agent")),
        *(_tile(code, glyph) for glyph in ("goal", "cross") for code in COLOURS.values()),
    ]
)
"""Everything that a cell can show: floor, wall, agent, and either object in each colour."""
EMPTY, WALL_TILE, AGENT, GOAL, CROSS = 0, 1, 2, 3, 3 + len(COLOURS)


class Maze(HasMazes):
    """Mazes of 7x7 cells, 42x42 pixels: which move brings the agent nearer to the diamond?

    Drawn by this project's own code. Each maze has an agent (a dark face), the goal (a diamond)
    and a cross, which blocks the way like a wall. About a fifth of the cells are walls, the
    corners never. The label is the first move of the shortest path to the goal; only positions
    with a single correct move occur, and each of the four moves is equally frequent. Factors:
    colour (of the goal) and other (colour of the cross, never the goal's). A row of `scenes`
    determines its image: besides the factors, walls (49 characters, row by row, '#' for a wall)
    and the cells (0 to 48) agent, goal and cross. After Langosco et al. 2022, arXiv:2105.14111.
    """

    name = "maze"
    title = "Mazes"
    licence = "MIT"
    classes = tuple(MOVES)
    factors = {name: tuple(COLOURS) for name in COLOURED}
    shape = (3, SIDE * CELL, SIDE * CELL)
    horizon = 20
    training = Training(
        rows=24_000,
        epochs=3,
        batch=64,
        rate=2e-3,
        decay=1e-4,
        tune_rows=8_000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n new mazes. `label`, `goal` (a cell) and any factor can be fixed: one value, or n.

        The mazes depend on rng alone, not on the split.
        """
        for name in fixed:
            if name not in ("label", "goal", *COLOURED):
                raise suggest("factor", name, ("label", "goal", *COLOURED))
        wanted = {name: np.broadcast_to(np.asarray(value), n) for name, value in fixed.items()}
        label = wanted.get("label", rng.integers(len(MOVES), size=n))
        layout = _drawn(label, wanted.get("goal"), rng)
        return self.render(pd.DataFrame({**layout.columns(), **_coloured(wanted, n, rng)}))

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Draw the mazes of a table. Of two correct moves, the first is the label."""
        layout, rows = layout_of(scenes), np.arange(len(scenes))
        tiles = np.where(layout.walls, WALL_TILE, EMPTY)
        tiles[rows, layout.goal] = GOAL + _codes(scenes, "colour")
        tiles[rows, layout.cross] = CROSS + _codes(scenes, "other")
        tiles[rows, layout.agent] = AGENT
        correct = shortest_moves(distances(blocked_cells(layout, layout.cross), layout.goal))
        labels = torch.from_numpy(correct[rows, layout.agent].argmax(1))
        return Examples(_painted(torch.from_numpy(tiles)), labels, scenes.reset_index(drop=True))

    def read(self, pictures: Float[Tensor, "n 3 h w"]) -> pd.DataFrame:
        """The scenes that these images show; each cell is read as its nearest tile.

        AuditgameError where an image does not show one agent, one goal and one cross.
        """
        grid = rearrange(pictures, "n c (y h) (x w) -> n (y x) (c h w)", h=CELL, w=CELL)
        tiles = torch.cdist(grid, TILES.flatten(1)).argmin(2).numpy()
        things = {"agent": tiles == AGENT, "goal": (tiles >= GOAL) & (tiles < CROSS)}
        things["cross"] = tiles >= CROSS
        for name, found in things.items():
            if (found.sum(1) != 1).any():
                raise Invalid(
                    f"picture: shows no maze with exactly one {name}; send an image of such a maze"
                )
        cells = {name: found.argmax(1) for name, found in things.items()}
        layout, rows = MazeLayout(tiles == WALL_TILE, **cells), np.arange(len(tiles))
        colour = PALETTE[tiles[rows, layout.goal] - GOAL]
        other = PALETTE[tiles[rows, layout.cross] - CROSS]
        return pd.DataFrame({**layout.columns(), "colour": colour, "other": other})


def _painted(tiles: Int[Tensor, "n cells"]) -> Float[Tensor, "n 3 h w"]:
    return rearrange(TILES[tiles], "n (y x) c h w -> n c (y h) (x w)", y=SIDE).contiguous()


def _codes(scenes: pd.DataFrame, name: str) -> Int[np.ndarray, " n"]:
    """The index of every row's colour."""
    if name not in scenes:
        raise Invalid(f"scenes: column '{name}' is missing; keep all columns of sample()")
    codes = pd.Index(PALETTE).get_indexer(scenes[name])
    if (codes < 0).any():
        raise suggest(f"level of {name}", str(scenes[name][codes < 0].iloc[0]), COLOURS)
    return codes


def _coloured(wanted: dict[str, np.ndarray], n: int, rng: np.random.Generator) -> dict[str, Any]:
    """A colour for either object; the two differ unless both are fixed."""
    apart = rng.integers(1, len(PALETTE), size=n)
    either = rng.integers(len(PALETTE), size=n)
    for name, sign in (("other", -1), ("colour", 0)):
        if name in wanted:
            either = _codes(pd.DataFrame({name: wanted[name]}), name) + sign * apart
    drawn = {"colour": PALETTE[either % len(PALETTE)]}
    drawn["other"] = PALETTE[(either + apart) % len(PALETTE)]
    return drawn | {name: wanted[name] for name in COLOURED if name in wanted}


def _drawn(
    label: Int[np.ndarray, " n"], goal: Int[np.ndarray, " n"] | None, rng: np.random.Generator
) -> MazeLayout:
    """Layouts in which the label is the one correct move, with goals as given.

    Mazes without such a position for the agent are drawn again.
    """
    kept = MazeLayout(np.zeros((len(label), CELLS), bool), *np.zeros((3, len(label)), int))
    todo = np.arange(len(label))
    while len(todo):
        layout = _layout(rng.integers(CELLS, size=len(todo)) if goal is None else goal[todo], rng)
        far = distances(blocked_cells(layout, layout.cross), layout.goal)
        fits = single_move(shortest_moves(far)) == label[todo, None]
        fits &= ~blocked_cells(layout, layout.goal, layout.cross)
        agent = (rng.random(fits.shape) * fits).argmax(1)
        found = fits.any(1)
        kept.put(todo[found], layout._replace(agent=agent).take(found))
        todo = todo[~found]
    return kept


def _layout(goal: Int[np.ndarray, " n"], rng: np.random.Generator) -> MazeLayout:
    """Walls and a cross at random; the agent is still on the goal."""
    walls, rows = rng.random((len(goal), CELLS)) < WALLED, np.arange(len(goal))
    cross = (goal + rng.integers(1, CELLS, size=len(goal))) % CELLS
    walls[:, list(CORNERS.values())] = False
    walls[rows, goal] = walls[rows, cross] = False
    return MazeLayout(walls, goal, goal, cross)
