"""The contact sheets of docs/microscope.md: `make sheets`. Needs Chromium for the last.

All but the last show a clean sibling of storybook, through the tool that players use.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from auditgame import paths
from auditgame.bundles.reference_models import read_references
from auditgame.exhibits import Gallery, Tile
from auditgame.registry import load
from auditgame.tools import ToolContext
from auditgame.tools.feature_viz import FeatureViz
from docs.camera import built, visiting

PICTURES = paths.checkout() / "docs" / "pictures"
DATASET, MODEL = "storybook", "small_cnn"
COLUMNS, LEAST, GAP, WORDS = 12, 96, 6, 14
"""Tiles in a row; their least side, the room between them and for a line of words, in pixels."""
OBJECTIVES = (
    'neuron("conv3", 17)',
    '8 * channel("conv3", 17)',
    '20 * layer("conv3")',
    'direction("conv4", "fish")',
    'logit("fish")',
    'probability("fish")',
)
UNIT, HEIGHT = "conv3:17", 1800


def main() -> None:
    """Paint, paste, photograph."""
    torch.set_num_threads(1)
    dataset = load("dataset", DATASET)()
    specimen = read_references(DATASET, MODEL, dataset)[0]
    pool = dataset.sample(256, "held", np.random.default_rng(0))
    context = ToolContext(dataset, pool, ())

    def painted(**options: Any) -> Sequence[Tile]:
        gallery = FeatureViz().run(specimen, context, FeatureViz.Options(**options))[0]
        assert isinstance(gallery, Gallery)
        return gallery.tiles

    for site in ("conv1", "conv2", "conv3", "conv4"):
        contact(painted(site=site), COLUMNS).save(PICTURES / f"units-{site}.png", optimize=True)
    presets = get_args(FeatureViz.Options.model_fields["preset"].annotation)
    tiles = [
        Tile(png=painted(objective=wish, preset=preset)[0].png, label=preset, note=note)
        for wish in OBJECTIVES
        for preset, note in zip_longest(presets, [wish], fillvalue="")
    ]
    contact(tiles, len(presets)).save(PICTURES / "objectives.png", optimize=True)
    photograph()


def contact(tiles: Sequence[Tile], columns: int) -> Image.Image:
    """All tiles on one sheet, enlarged without smoothing, each over its words."""
    pictures = [Image.open(io.BytesIO(tile.png)).convert("RGB") for tile in tiles]
    factor = max(1, round(LEAST / max(pictures[0].size)))
    wide, high = (max(p.size[axis] for p in pictures) * factor for axis in (0, 1))
    wide, step = max(wide, LEAST), high + 2 * WORDS + GAP
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * (wide + GAP) + GAP, rows * step + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for place, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        x, y = GAP + place % columns * (wide + GAP), GAP + place // columns * step
        size = picture.width * factor, picture.height * factor
        sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (x, y))
        for line, words in enumerate((tile.label, tile.note)):
            pen.text((x, y + high + 1 + line * WORDS), words, "black", font)
    return sheet.quantize(256)


def photograph() -> None:
    """A unit's page in the running app."""
    with tempfile.TemporaryDirectory() as folder:
        case = built(Path(folder))
        site, unit = UNIT.split(":")
        with visiting(Path(folder), HEIGHT) as visitor:
            visitor.visit(f"microscope?id={case}&site={site}&unit={unit}")
            visitor.page.screenshot(path=str(PICTURES / "microscope.png"))
    _lighten(PICTURES / "microscope.png")


def _lighten(path: Path) -> None:
    """Fewer colours, so that the file stays small."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
