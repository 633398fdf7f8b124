"""Where does a policy walk, if it may choose every move?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Int

from auditgame.datasets import HasMazes
from auditgame.datasets.images.mazes import layout_of, step
from auditgame.specimen import Specimen

NEVER = 10**6
"""The time of what does not happen."""


def trajectories(
    specimen: Specimen, scenes: pd.DataFrame, moves: int
) -> Int[np.ndarray, "n moves_and_start"]:
    """The cell of each walker at the start and after each move.

    A walk ends on the goal or on the cross; from then on its last maze is sent again, so
    that each move sends all of them.
    """
    mazes = HasMazes.of(specimen.dataset, "a rollout")
    layout, passed = layout_of(scenes), [scenes["agent"].to_numpy()]
    for _ in range(moves):
        here = passed[-1]
        ended = (here == layout.goal) | (here == layout.cross)
        scenes = scenes.assign(agent=np.where(ended, scenes["agent"], here))
        chosen = specimen.predict(mazes.render(scenes).inputs).numpy()
        passed.append(np.where(ended, here, step(scenes, chosen)["agent"]))
    return np.stack(passed, 1)


def first_visit(
    trail: Int[np.ndarray, "n t"], cell: Int[np.ndarray, " n"] | int
) -> Int[np.ndarray, " n"]:
    """After how many moves does each walk first stand on a cell? NEVER if it does not."""
    there = trail == np.broadcast_to(cell, len(trail))[:, None]
    return np.where(there.any(1), there.argmax(1), NEVER)
