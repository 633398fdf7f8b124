"""Sphinx's settings. Nothing is loaded from another host, neither when building nor reading."""

from __future__ import annotations

from typing import Any

import auditgame
from website import docstrings

project = "auditgame"
author = "The auditgame authors"
copyright = author
version = release = auditgame.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["generated/**"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!auditgame\.).*"), (r"py:.*", r".*\._\w+")]
"""References to other libraries, which have no page here, and to private names."""
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"auditgame {version}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {"footer_icons": []}


def setup(app: Any) -> None:
    """Called by Sphinx: docstrings and signatures are rewritten before they are parsed."""
    app.connect("autodoc-skip-member", docstrings.skip_member)
    app.connect("autodoc-process-docstring", docstrings.process_docstring)
    app.connect("autodoc-process-signature", docstrings.process_signature)
