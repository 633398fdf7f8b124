"""What stands at the head of a case: its title, its kind, and what the player is told."""

from __future__ import annotations

import re

import streamlit as st

from auditgame.types import Card
from auditgame.ui.words import plain

TIERS = {"tutorial": "green", "easy": "blue", "medium": "orange", "hard": "red"}
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


def badges(card: Card) -> None:
    """Tier, kind of input and mode, as small labels."""
    with st.container(horizontal=True, gap="small"):
        st.badge(card.tier, color=TIERS[card.tier])
        st.badge(f"{card.modality}s", color="gray")
        if card.mode == "ranked":
            st.badge("ranked", color="violet")


def heading(card: Card) -> None:
    """Title and labels of a case."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"## {plain(card.title)}", width="content")
        badges(card)


def brief(card: Card) -> None:
    """What the player is told. Markdown, but pictures from elsewhere are left out."""
    with st.expander("Brief", expanded=card.tier == "tutorial"):
        st.markdown(_PICTURE.sub("", card.brief))
