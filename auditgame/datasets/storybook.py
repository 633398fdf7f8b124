"""The default images: ten everyday objects in ten scenes, drawn from a table of factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Examples, HasFactors, ImageDataset, Split, Training
from auditgame.datasets.images.backgrounds import MARKS, SCENES, scatter, stick
from auditgame.datasets.images.icons import (
    SIDE,
    THINGS,
    PixelGrid,
    colour,
    filled,
    uniforms,
)
from auditgame.datasets.images.text_rendering import WORDS, write
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid

COLOURS = {
    "red": "e23b36",
    "orange": "f58a1f",
    "yellow": "f9d423",
    "green": "35a548",
    "cyan": "22c3d6",
    "blue": "2f5fd8",
    "purple": "8a3fc4",
    "pink": "f77fb2",
}
"""The main colours, on most of an object's surface."""

SPARE = {"white": "f4f1ea", "black": "2b2631"}
"""Main colours that occur only where they are fixed: with them there is one for every class."""

ACCENTS = {
    "white": "fbf8ef",
    "gold": "f2b632",
    "lime": "b4dc3c",
    "mint": "86e3c3",
    "sky": "8ec9f5",
    "lilac": "bda0f0",
    "rose": "f8a5c2",
    "brown": "8a5a3c",
}
"""The secondary colours, on an object's smaller parts."""

TILE = 96
"""Images drawn at once: larger batches do not fit into the processor's cache."""

CLUTTER = 3
"""The most pieces of confetti on one image."""

POSE = ("scale", "rotation", "flip", "aspect", "x", "y")
NUMBERS = (*POSE, "clutter", "seed")
"""Columns of a table of scenes that are not factors; the first six place the object."""

_PALETTES = {
    name: torch.cat([colour(code) for code in palette.values()])
    for name, palette in (("colour", COLOURS | SPARE), ("accent", ACCENTS))
}


class Storybook(HasFactors, ImageDataset):
    """Fish, house, tree, car, mug, mushroom, flower, boat, butterfly and key, 48x48 pixels.

    Drawn by this project's own code; every split is drawn anew from its generator. A row of
    `scenes` determines its image. Factors, all independent of the class: colour (never white
    or black unless it is fixed), accent (smaller parts), fill and scene; and mark (a sticker in
    the upper right corner) and word (on a tag at the bottom), both 'none' unless they are
    fixed. Further columns: label (class index), scale (0.50 to 0.86 of the image), rotation
    (radians, up to 0.45), flip, aspect (width to height, 0.85 to 1.18), x and y (offset of the
    centre in pixels), clutter (0 to 3 pieces of confetti) and seed (of stars, bricks, tufts
    and confetti).
    """

    name = "storybook"
    title = "Storybook"
    licence = "MIT"
    classes = tuple(thing.__name__ for thing in THINGS)
    factors = {
        "colour": (*COLOURS, *SPARE),
        "accent": tuple(ACCENTS),
        "fill": ("plain", "stripes", "dots", "checks"),
        "scene": tuple(scene.__name__ for scene in SCENES),
        "mark": ("none", *MARKS),
        "word": ("none", *WORDS),
    }
    shape = (3, SIDE, SIDE)
    training = Training(
        rows=6_000,
        epochs=3,
        batch=32,
        rate=3e-3,
        decay=5e-4,
        tune_rows=6_000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
        augment="noise",
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n new images. Any factor, and `label`, can be fixed: one value, or one per row.

        The images depend on rng alone, not on the split.
        """
        return self.render(self._draw(n, rng, fixed))

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Draw the images of a table. Each depends on its own row alone."""
        missing = [name for name in ("label", *self.factors, *NUMBERS) if name not in scenes]
        if missing:
            raise Invalid(f"scenes: column '{missing[0]}' is missing; keep all columns of sample()")
        codes = {name: self._codes(scenes, name) for name in self.factors}
        labels = self._labels(scenes)
        rgb = torch.empty(len(scenes), *self.shape)
        for scene, rows in _groups(codes["scene"]):
            _draw_scene(rgb, rows, scenes, scene)
        for label, rows in _groups(labels):
            _draw_object(rgb, rows, scenes, label, codes)
        for name, draw in (("mark", stick), ("word", write)):
            for level, rows in _groups(codes[name]):
                if level:
                    grid = _pixel_grid(rgb[rows])
                    draw(grid, self.factors[name][level])
                    _write_back(rgb, rows, grid.rgb)
        return Examples(rgb, torch.from_numpy(labels), scenes.reset_index(drop=True))

    def _draw(self, n: int, rng: np.random.Generator, fixed: dict[str, object]) -> pd.DataFrame:
        """A table of n rows. Fixing one column changes no other, so that tables can be compared."""
        table: dict[str, object] = {"label": rng.integers(len(self.classes), size=n)}
        for name, levels in self.factors.items():
            if name != "word":  # A later addition: drawing it would change the images of old seeds.
                drawn = len(COLOURS) if name == "colour" else len(levels)
                table[name] = np.array(levels, dtype=object)[rng.integers(drawn, size=n)]
        table |= {name: np.full(n, "none", dtype=object) for name in ("mark", "word")}
        scale = rng.uniform(0.50, 0.86, n)
        table |= {
            "scale": scale,
            "rotation": rng.uniform(-0.45, 0.45, n),
            "flip": rng.random(n) < 0.5,
            "aspect": np.exp(rng.uniform(np.log(0.85), np.log(1.18), n)),
            "x": rng.uniform(-0.8, 0.8, n) * (1 - scale) * (SIDE / 2),
            "y": rng.uniform(-0.8, 0.8, n) * (1 - scale) * (SIDE / 2),
            "clutter": rng.integers(CLUTTER + 1, size=n),
            "seed": rng.integers(2**62, size=n),
        }
        for name, value in fixed.items():
            if name not in (*self.factors, "label"):
                raise suggest("factor", name, (*self.factors, "label"))
            table[name] = _spread(name, value, n)
        return pd.DataFrame(table)

    def _codes(self, scenes: pd.DataFrame, name: str) -> Int[np.ndarray, " n"]:
        """The index of every row's level of a factor."""
        levels = self.factors[name]
        codes = pd.Index(levels).get_indexer(scenes[name])
        if (codes < 0).any():
            raise suggest(f"level of {name}", str(scenes[name][codes < 0].iloc[0]), levels)
        return codes

    def _labels(self, scenes: pd.DataFrame) -> Int[np.ndarray, " n"]:
        labels = scenes["label"].to_numpy(dtype=np.int64, copy=True)
        if ((labels < 0) | (labels >= len(self.classes))).any():
            raise Invalid(f"label: classes are numbered 0 to {len(self.classes) - 1}")
        return labels


def _spread(name: str, value: Any, n: int) -> np.ndarray:
    """One level per row, from one level or from n of them."""
    levels = [value] * n if isinstance(value, str) or not np.ndim(value) else list(value)
    if len(levels) != n:
        raise Invalid(f"factor '{name}': {len(levels)} levels for {n} rows; give one or {n}")
    return np.array(levels, dtype=np.int64 if name == "label" else object)


def _groups(codes: Int[np.ndarray, " n"]) -> Iterator[tuple[int, Int[np.ndarray, " m"]]]:
    """Each code with the rows that have it, at most TILE rows at a time."""
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        for start in range(0, len(rows), TILE):
            yield int(code), rows[start : start + TILE]


def _pixel_grid(rgb: Float[Tensor, "n 3 h w"]) -> PixelGrid:
    """A grid in pixels, from the upper left corner; (0.5, 0.5) is the centre of the first pixel."""
    steps = torch.arange(SIDE) + 0.5
    return PixelGrid(rgb, steps.view(1, 1, 1, -1), steps.view(1, 1, -1, 1))


def _write_back(rgb: Tensor, rows: np.ndarray, tile: Tensor) -> None:
    """Write these rows; indexed assignment would be several times slower."""
    rgb.index_copy_(0, torch.from_numpy(rows), tile)


def _draw_scene(rgb: Tensor, rows: np.ndarray, scenes: pd.DataFrame, scene: int) -> None:
    """Draw the scene of these rows, then their confetti."""
    seeds, clutter = (scenes[name].to_numpy()[rows] for name in ("seed", "clutter"))
    tile = torch.empty(len(rows), 3, SIDE, SIDE)
    SCENES[scene](_pixel_grid(tile), lambda count: uniforms(seeds, 1, count))
    pieces = uniforms(seeds, 2, 5 * CLUTTER).view(len(rows), CLUTTER, 5, 1, 1)
    for index in range(CLUTTER):
        some = np.flatnonzero(clutter > index)
        grid = _pixel_grid(tile[some])
        scatter(grid, pieces[some, index], _PALETTES["colour"][: len(COLOURS)])
        _write_back(tile, some, grid.rgb)
    _write_back(rgb, rows, tile)


def _draw_object(
    rgb: Tensor, rows: np.ndarray, scenes: pd.DataFrame, label: int, codes: dict[str, np.ndarray]
) -> None:
    """Draw the object of these rows over their scenes."""
    values = scenes.loc[:, list(POSE)].iloc[rows].to_numpy(dtype=np.float32)
    scale, turn, flip, aspect, dx, dy = torch.from_numpy(values).T.reshape(6, -1, 1, 1, 1)
    page = _pixel_grid(rgb[rows])
    u, v = page.x - SIDE / 2 - dx, page.y - SIDE / 2 - dy
    pixels = scale * (SIDE / 2)
    x = (torch.cos(turn) * u + torch.sin(turn) * v) / (pixels * aspect.sqrt())
    y = (torch.cos(turn) * v - torch.sin(turn) * u) / (pixels / aspect.sqrt())
    grid = PixelGrid(page.rgb, x * (1 - 2 * flip), y, pixels)
    main, accent = (_PALETTES[name][codes[name][rows]] for name in ("colour", "accent"))
    THINGS[label](grid, filled(grid, main, torch.from_numpy(codes["fill"][rows])), accent)
    _write_back(rgb, rows, grid.rgb)
