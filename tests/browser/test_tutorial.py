"""The tutorial in the documentation, followed by its own labels."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from auditgame.plugins.descriptions import plugin_texts

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "browser.md"
SIZE = (48, 48)
"""Width and height of the images of the two-minute case."""


def square(images: list[np.ndarray]) -> dict[str, int]:
    """The box in which all images are the same, as a person sees it."""
    alike = (np.ptp(np.stack(images).astype(int), axis=0) <= 2).all(2)
    regions, count = ndimage.label(alike)
    largest = int(np.argmax(ndimage.sum(alike, regions, range(1, count + 1))))
    rows, columns = ndimage.find_objects(regions)[largest]
    width, height = columns.stop - columns.start, rows.stop - rows.start
    return {"x": columns.start, "y": rows.start, "w": width, "h": height}


def test_the_tutorial_leads_to_the_flaw(player: Visitor) -> None:
    labels = re.findall(r"\*\*(.+?)\*\*", PAGE.read_text(encoding="utf-8"))
    start, mistakes, pin, kind, family, target, example, crop, test = labels
    player.visit()
    player.press(start)
    names = {text.title: text.name for text in plugin_texts("tool")}
    player.use(names[mistakes])
    wrong = [tile for tile in player.tiles() if re.search(r"\bmug\b", tile.words)]
    answers = Counter(re.match(r"#\d+ \S+ (\S+)", tile.words)[1] for tile in wrong)
    assert answers.most_common(1)[0][0] == "mug"
    player.press(pin)
    player.choose(kind, family)
    player.choose(target, "mug")
    player.write(example, str(wrong[0].number))
    player.drag(square([tile.pixels for tile in wrong]), SIZE)
    player.press(crop)
    player.use(names[test])
    player.believe(98)
    player.submit()
    score = player.page.get_by_test_id("stMetricValue").inner_text()
    assert int(score.split(" of ")[0]) >= 60
