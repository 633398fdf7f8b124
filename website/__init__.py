"""The documentation site: generated pages, the build, and the pictures that the pages show."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
