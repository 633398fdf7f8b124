"""The screenshots of the workbench and of a unit's page: `make screenshots`. Needs Chromium."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from website import ROOT
from website.running_app import built, visiting

PICTURES = ROOT / "docs" / "pictures"
SITE, UNIT = "conv3", 17
HEIGHT, UNIT_HEIGHT = 1500, 1800
"""Of the window, in pixels."""


def main() -> None:
    """Build a case and save both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        case = built(Path(folder))
        with visiting(Path(folder), HEIGHT) as visitor:
            visitor.visit(f"workbench?id={case}")
            visitor.use("mistakes")
            visitor.choose_family("patch")
            visitor.page.screenshot(path=str(PICTURES / "workbench.png"))
        with visiting(Path(folder), UNIT_HEIGHT) as visitor:
            visitor.visit(f"microscope?id={case}&site={SITE}&unit={UNIT}")
            visitor.page.screenshot(path=str(PICTURES / "microscope.png"))
    _reduce_colours(PICTURES / "microscope.png")


def _reduce_colours(path: Path) -> None:
    """256 colours, so that the file stays small."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
