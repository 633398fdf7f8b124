"""The data set `bars`: horizontal and vertical bars in three colours; colour is a factor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from auditgame.datasets import Examples, HasFactors, ImageDataset, Split, Training
from auditgame.registry import suggest

SIDE, THICK = 32, 6
COLOURS = {"red": (0.9, 0.2, 0.2), "green": (0.2, 0.7, 0.3), "blue": (0.2, 0.4, 0.9)}


class Bars(HasFactors, ImageDataset):
    """One bar on a pale background, horizontal or vertical, 32x32 pixels; drawn, so it is endless.

    Scenes hold the label, the colour (a factor), the position, and the seed of the noise.
    Made by auditgame; CC0.
    """

    name = "bars"
    title = "Bars"
    licence = "CC0-1.0"
    classes = ("horizontal", "vertical")
    factors = {"colour": tuple(COLOURS)}
    shape = (3, SIDE, SIDE)
    training = Training(
        rows=1_500,
        epochs=3,
        batch=32,
        rate=3e-3,
        decay=5e-4,
        tune_rows=1_500,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n fresh images; `label` and `colour` can be fixed to one value, or to one per row."""
        scenes = pd.DataFrame(
            {
                "label": rng.integers(0, 2, n),
                "colour": rng.choice(list(COLOURS), n),
                "position": rng.integers(2, SIDE - THICK - 2, n),
                "seed": rng.integers(0, 2**31, n),
            }
        )
        for name, value in fixed.items():
            if name not in ("label", "colour"):
                raise suggest("factor", name, ("label", "colour"))
            scenes[name] = value
        return self.render(scenes)

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Draw the images of a table. Each depends on its own row alone."""
        inputs = torch.empty(len(scenes), *self.shape)
        for row, scene in enumerate(scenes.to_dict("records")):
            noise = np.random.default_rng(scene["seed"]).random(self.shape, dtype=np.float32)
            inputs[row] = 0.8 + 0.2 * torch.from_numpy(noise)
            bar = slice(scene["position"], scene["position"] + THICK)
            where = (slice(None), bar) if scene["label"] == 0 else (slice(None), slice(None), bar)
            inputs[row][where] = torch.tensor(COLOURS[scene["colour"]])[:, None, None]
        labels = torch.from_numpy(scenes["label"].to_numpy(dtype=np.int64, copy=True))
        return Examples(inputs, labels, scenes.reset_index(drop=True))
