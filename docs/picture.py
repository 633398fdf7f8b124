"""The picture in the README, taken from the running app: `make picture`. Needs Chromium."""

from __future__ import annotations

import tempfile
from pathlib import Path

from auditgame import paths
from docs.camera import built, visiting

PICTURE = paths.checkout() / "docs" / "pictures" / "workbench.png"
HEIGHT = 1500


def main() -> None:
    """Build a case, open it, look at its mistakes, keep what is on the screen."""
    with tempfile.TemporaryDirectory() as folder:
        case = built(Path(folder))
        with visiting(Path(folder), HEIGHT) as visitor:
            visitor.visit(f"workbench?id={case}")
            visitor.use("Mistakes")
            visitor.choose("What kind of flaw?", "Patch")
            visitor.page.screenshot(path=str(PICTURE))


if __name__ == "__main__":
    main()
