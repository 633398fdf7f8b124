"""What stands at the head of a case: its title, its kind, and what the player is told."""

from __future__ import annotations

import re

import streamlit as st

from auditgame.schema.cards import Card
from auditgame.ui.safe_text import plain

TIERS = {"tutorial": "green", "easy": "blue", "medium": "orange", "hard": "red"}
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


def badges(card: Card) -> str:
    """Tier, kind of input and mode, as small labels in Markdown."""
    ranked = " :violet-badge[ranked]" if card.mode == "ranked" else ""
    return f":{TIERS[card.tier]}-badge[{card.tier}] :gray-badge[{card.modality}]{ranked}"


def heading(card: Card) -> None:
    """Title and labels of a case."""
    st.markdown(f"## {plain(card.title)} {badges(card)}")


def brief(card: Card) -> None:
    """What the player is told. Markdown, but pictures from elsewhere are left out."""
    with st.expander("Brief", expanded=card.tier == "tutorial"):
        st.markdown(_PICTURE.sub("", card.brief))
