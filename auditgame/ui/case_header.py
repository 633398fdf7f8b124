"""The head of a challenge's pages: its title, its labels and its brief."""

from __future__ import annotations

import re

import streamlit as st

from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.ui.safe_text import plain
from auditgame.ui.terms import explained_markdown

TIERS = {"tutorial": "green", "easy": "blue", "medium": "orange", "hard": "red"}
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


def badges(card: Card) -> str:
    """Tier, modality and mode as small labels, in Markdown."""
    ranked = " :violet-badge[ranked]" if card.mode == "ranked" else ""
    return f":{TIERS[card.tier]}-badge[{card.tier}] :gray-badge[{card.modality}]{ranked}"


def heading(card: Card) -> None:
    """Title and labels of a challenge."""
    st.markdown(f"## {plain(card.title)} {badges(card)}")


def facts(card: Card) -> str:
    """Data set, model and id of a challenge on one line, in Markdown."""
    parts = (title("dataset", card.dataset), title("model", card.model), card.id)
    return " · ".join(map(plain, parts))


def possible_flaws(card: Card) -> str:
    """The families that the challenge may have, by their titles, in Markdown."""
    return plain(", ".join(title("flaw", name) for name in card.families) or "none named")


def brief(card: Card) -> None:
    """The brief, in Markdown. Images are left out: they could load from other hosts."""
    with st.expander("Brief", expanded=card.tier == "tutorial"):
        st.markdown(explained_markdown(_IMAGE.sub("", card.brief)), unsafe_allow_html=True)
        st.caption(f"{facts(card)}  \nPossible flaws: {possible_flaws(card)}")
