"""The glossary of the app and the documentation, from one file. Needs no Streamlit."""

from __future__ import annotations

import tomllib
from importlib.resources import files

FILE = "glossary.toml"


def terms() -> dict[str, str]:
    """Every term and its definition (Markdown), in alphabetical order."""
    return tomllib.loads((files(__package__) / FILE).read_text(encoding="utf-8"))
