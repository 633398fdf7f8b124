"""The contact sheets in docs/explanation/microscope.md: `make sheets`.

They show a clean reference model of storybook, through the tool that players use.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from auditgame.bundles.reference_models import read_references
from auditgame.exhibits import Gallery, Tile
from auditgame.registry import load
from auditgame.tools import ToolContext
from auditgame.tools.feature_viz import FeatureViz
from website import ROOT

PICTURES = ROOT / "docs" / "pictures"
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


def main() -> None:
    """Draw every unit of every layer, then every objective under every preset."""
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


if __name__ == "__main__":
    main()
