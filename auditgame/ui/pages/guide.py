"""Field guide: families of flaws, tools, scoring, glossary. Read from the source, without torch."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from auditgame.plugins.descriptions import PluginText, paragraphs, plugin_texts
from auditgame.registry import Kind
from auditgame.schema.records import ToolQuestion
from auditgame.ui.glossary import terms
from auditgame.ui.safe_text import plain
from auditgame.ui.scoring_text import SCORING
from auditgame.ui.terms import explained_paragraphs

CHAPTERS: dict[str, Kind | None] = {
    "Families of flaws": "flaw",
    "Tools": "tool",
    "Data sets": "dataset",
    "Models": "model",
    "Auditors": "auditor",
    "Scoring": None,
    "Glossary": None,
}


def page() -> None:
    """Draw the chosen chapter."""
    st.title("Field guide")
    chapter = st.segmented_control(
        "Chapter",
        list(CHAPTERS),
        key="chapter",
        default=next(iter(CHAPTERS)),
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    if chapter == "Scoring":
        st.markdown(SCORING)
    elif chapter == "Glossary":
        st.markdown("\n\n".join(f"**{term}.** {meaning}" for term, meaning in terms().items()))
    else:
        _plugins(CHAPTERS.get(chapter) or "flaw")


def _plugins(kind: Kind) -> None:
    """Every plug-in of a kind; tools are grouped by the question that they help to answer."""
    found = plugin_texts(kind)
    if not found:
        st.caption("None installed.")
    for question in (*get_args(ToolQuestion), ""):
        group = [plugin for plugin in found if plugin.asks == question]
        if question and group:
            st.subheader(question)
        for plugin in group:
            _entry(plugin)


def _entry(plugin: PluginText) -> None:
    with st.container(border=True):
        st.markdown(f"#### {plain(plugin.title)}")
        st.caption(f"Code name: `{plugin.name}`")
        st.html(explained_paragraphs(paragraphs(plugin.text)))
