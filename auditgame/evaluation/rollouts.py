"""Policy rollouts in mazes: the cells that a policy passes when it chooses every move."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Int

from auditgame.datasets import HasMazes
from auditgame.datasets.images.mazes import layout_of, step
from auditgame.specimen import Specimen

NEVER = 10**6
"""The time of a visit that does not happen."""


def trajectories(
    specimen: Specimen, scenes: pd.DataFrame, moves: int
) -> Int[np.ndarray, "n moves_and_start"]:
    """The agent's cell in each maze, at the start and after each move.

    A rollout ends on the goal or on the cross; from then on its last maze is sent again, so
    that every move costs one query per maze.
    """
    mazes = HasMazes.of(specimen.dataset, "a rollout")
    layout, cells = layout_of(scenes), [scenes["agent"].to_numpy()]
    for _ in range(moves):
        cell = cells[-1]
        ended = (cell == layout.goal) | (cell == layout.cross)
        scenes = scenes.assign(agent=np.where(ended, scenes["agent"], cell))
        chosen = specimen.predict(mazes.render(scenes).inputs).numpy()
        cells.append(np.where(ended, cell, step(scenes, chosen)["agent"]))
    return np.stack(cells, 1)


def first_visit(
    trail: Int[np.ndarray, "n t"], cell: Int[np.ndarray, " n"] | int
) -> Int[np.ndarray, " n"]:
    """The number of moves after which each rollout first reaches a cell; NEVER if it does not."""
    at_cell = trail == np.broadcast_to(cell, len(trail))[:, None]
    return np.where(at_cell.any(1), at_cell.argmax(1), NEVER)
