"""A small world to walk in: a maze, a goal in it, and the move that leads there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.datasets.images.mazes import (
    CELLS,
    CORNERS,
    MOVES,
    SIDE,
    MazeLayout,
    closed,
    distances,
    layout_of,
    only,
    ways,
)
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import rgb

CELL = 6
"""Pixels along the edge of a cell."""
WALLED = 0.19
"""The share of cells that are walled up."""
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
"""Factors, and columns of the table: the colour of the goal, and of the cross."""
FLOOR, WALL, INK = "#f3efe6", "#4a4e5a", "#1d1f26"
GLYPHS = {
    "agent": (".#..#.", "######", "#.##.#", "######", "##..##", ".####."),
    "goal": ("..##..", ".####.", "######", "######", ".####.", "..##.."),
    "cross": ("..##..", "..##..", "######", "######", "..##..", "..##.."),
}
"""Which pixels of a cell are inked: the walker is a face, the goal a diamond.

Cross and diamond differ in four pixels. Colour is then learnt before shape; where they differ
in more, as diamond and square would, a policy goes for the shape whatever the colours say.
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
"""All that a cell can show: floor, wall, the walker, and either object in each colour."""
EMPTY, WALLED_UP, WALKER, GOAL, CROSS = 0, 1, 2, 3, 3 + len(COLOURS)


class Maze(Dataset):
    """Mazes of 7x7 cells, 42x42 pixels: which move brings the walker nearer to the diamond?

    Drawn by this project's own code, fresh from the generator. In each maze stand a walker
    (a dark face), the goal (a diamond) and a cross, which is in the way like a wall. About
    a fifth of the cells are walled up, the corners never. The label is the first move of the
    shortest path to the goal; only places where a single move is right are shown, and each
    of the four is right equally often. Factors: colour (of the goal) and other (colour of
    the cross, never the goal's). A row of `scenes` says everything about its picture:
    beside the factors walls (49 characters, row by row, '#' for a wall) and the cells (0 to
    48) agent, goal and cross. After Langosco et al. 2022, arXiv:2105.14111.
    """

    name = "maze"
    modality = "image"
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
        """n fresh mazes. `label`, `goal` (a cell), any factor can be fixed: one value, or n.

        The split says what the pictures are for; what is drawn depends on rng alone.
        """
        for name in fixed:
            if name not in ("label", "goal", *COLOURED):
                raise suggest("factor", name, ("label", "goal", *COLOURED))
        wanted = {name: np.broadcast_to(np.asarray(value), n) for name, value in fixed.items()}
        label = wanted.get("label", rng.integers(len(MOVES), size=n))
        layout = _drawn(label, wanted.get("goal"), rng)
        return self.render(pd.DataFrame({**layout.columns(), **_coloured(wanted, n, rng)}))

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Draw the mazes of a table. The label is the first right move, where there are two."""
        layout, rows = layout_of(scenes), np.arange(len(scenes))
        tiles = np.where(layout.walls, WALLED_UP, EMPTY)
        tiles[rows, layout.goal] = GOAL + _codes(scenes, "colour")
        tiles[rows, layout.cross] = CROSS + _codes(scenes, "other")
        tiles[rows, layout.agent] = WALKER
        right = ways(distances(closed(layout, layout.cross), layout.goal))
        labels = torch.from_numpy(right[rows, layout.agent].argmax(1))
        return Examples(_painted(torch.from_numpy(tiles)), labels, scenes.reset_index(drop=True))

    def read(self, pictures: Float[Tensor, "n 3 h w"]) -> pd.DataFrame:
        """The scenes that these pictures show, cell by cell the likest tile.

        AuditgameError where a picture does not show one walker, one diamond and one cross.
        """
        grid = rearrange(pictures, "n c (y h) (x w) -> n (y x) (c h w)", h=CELL, w=CELL)
        tiles = torch.cdist(grid, TILES.flatten(1)).argmin(2).numpy()
        things = {"agent": tiles == WALKER, "goal": (tiles >= GOAL) & (tiles < CROSS)}
        things["cross"] = tiles >= CROSS
        for name, found in things.items():
            if (found.sum(1) != 1).any():
                raise AuditgameError(f"picture: shows no maze with just one {name}")
        cells = {name: found.argmax(1) for name, found in things.items()}
        layout, rows, names = (
            MazeLayout(tiles == WALLED_UP, **cells),
            np.arange(len(tiles)),
            PALETTE,
        )
        colour = names[tiles[rows, layout.goal] - GOAL]
        other = names[tiles[rows, layout.cross] - CROSS]
        return pd.DataFrame({**layout.columns(), "colour": colour, "other": other})


def _painted(tiles: Int[Tensor, "n cells"]) -> Float[Tensor, "n 3 h w"]:
    return rearrange(TILES[tiles], "n (y x) c h w -> n c (y h) (x w)", y=SIDE).contiguous()


def _codes(scenes: pd.DataFrame, name: str) -> Int[np.ndarray, " n"]:
    """The index of every row's colour."""
    if name not in scenes:
        raise AuditgameError(f"scenes: column '{name}' is missing; keep all of sample()'s")
    codes = pd.Index(PALETTE).get_indexer(scenes[name])
    if (codes < 0).any():
        raise suggest(f"level of {name}", str(scenes[name][codes < 0].iloc[0]), COLOURS)
    return codes


def _coloured(wanted: dict[str, np.ndarray], n: int, rng: np.random.Generator) -> dict[str, Any]:
    """A colour for either object; they differ unless both are fixed."""
    apart = rng.integers(1, len(PALETTE), size=n)
    either = rng.integers(len(PALETTE), size=n)
    for name, way in (("other", -1), ("colour", 0)):
        if name in wanted:
            either = _codes(pd.DataFrame({name: wanted[name]}), name) + way * apart
    drawn = {"colour": PALETTE[either % len(PALETTE)]}
    drawn["other"] = PALETTE[(either + apart) % len(PALETTE)]
    return drawn | {name: wanted[name] for name in COLOURED if name in wanted}


def _drawn(
    label: Int[np.ndarray, " n"], goal: Int[np.ndarray, " n"] | None, rng: np.random.Generator
) -> MazeLayout:
    """Layouts in which just one move is right, the one that is wanted; goals where wanted.

    Mazes without such a place for the walker are drawn again.
    """
    kept = MazeLayout(np.zeros((len(label), CELLS), bool), *np.zeros((3, len(label)), int))
    todo = np.arange(len(label))
    while len(todo):
        layout = _furnished(
            rng.integers(CELLS, size=len(todo)) if goal is None else goal[todo], rng
        )
        right = only(ways(distances(closed(layout, layout.cross), layout.goal)))
        stands = (right == label[todo, None]) & ~closed(layout, layout.goal, layout.cross)
        agent = (rng.random(stands.shape) * stands).argmax(1)
        found = stands.any(1)
        kept.put(todo[found], layout._replace(agent=agent).take(found))
        todo = todo[~found]
    return kept


def _furnished(goal: Int[np.ndarray, " n"], rng: np.random.Generator) -> MazeLayout:
    """Walls and a cross at random; the walker still stands on the goal."""
    walls, rows = rng.random((len(goal), CELLS)) < WALLED, np.arange(len(goal))
    cross = (goal + rng.integers(1, CELLS, size=len(goal))) % CELLS
    walls[:, list(CORNERS.values())] = False
    walls[rows, goal] = walls[rows, cross] = False
    return MazeLayout(walls, goal, goal, cross)
