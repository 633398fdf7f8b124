"""Field guide: kinds of flaw, tools, scoring, words. Read from the source; needs no torch."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from auditgame.registry import Kind
from auditgame.registry.descriptions import PluginText, paragraphs, plugin_texts
from auditgame.schema.records import ToolQuestion
from auditgame.ui.guide_text import SCORING, WORDS
from auditgame.ui.safe_text import plain

CHAPTERS: dict[str, Kind | None] = {
    "Kinds of flaw": "flaw",
    "Tools": "tool",
    "Data sets": "dataset",
    "Models": "model",
    "Auditors": "auditor",
    "Scoring": None,
    "Words": None,
}


def page() -> None:
    """Draw the chapter that is chosen."""
    st.title("Field guide")
    chapter = st.segmented_control(
        "Chapter",
        list(CHAPTERS),
        key="chapter",
        default="Kinds of flaw",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    if chapter == "Scoring":
        st.markdown(SCORING)
    elif chapter == "Words":
        for word, meaning in WORDS.items():
            st.markdown(f"**{word}.** {meaning}")
    else:
        _leaves(CHAPTERS.get(chapter) or "flaw")


def _leaves(kind: Kind) -> None:
    """Everything of a kind; what asks a question of the model stands under it."""
    found = plugin_texts(kind)
    if not found:
        st.caption("None installed.")
    for question in (*get_args(ToolQuestion), ""):
        group = [leaf for leaf in found if leaf.asks == question]
        if question and group:
            st.subheader(question)
        for leaf in group:
            _card(leaf)


def _card(leaf: PluginText) -> None:
    with st.container(border=True):
        st.markdown(f"#### {plain(leaf.title)}")
        for part in paragraphs(leaf.text):
            st.markdown(plain(part))
