"""Play: what this is, in ten seconds."""

from __future__ import annotations

import streamlit as st

from auditgame.ui.landing_demo import demo
from auditgame.ui.navigation import go, link
from auditgame.ui.session import game

FIRST = "The two-minute case"
"""Title of the challenge to begin with, where the pack has it; else any tutorial."""


def page() -> None:
    """Draw one sentence, one visible mistake, one button."""
    text, pictures = st.columns([5, 6], gap="large", vertical_alignment="center")
    with pictures:
        demo()
    with text:
        st.title("Something was planted in this small network. Find it.")
        st.markdown(
            "It recognises pictures well. Add one small mark, and it is wrong and very sure. "
            "Some models here have a hidden flaw, others are clean. You look inside, say what you "
            "found, and a referee tests your answer on the model itself."
        )
        tutorials = [card for card in game().cards() if card.tier == "tutorial"]
        first = min(tutorials, key=lambda card: card.title != FIRST, default=None)
        if first and st.button("Start the two-minute case", type="primary", key="start"):
            go("workbench", id=first.id)
        link("challenges", "See all challenges")
        st.caption("No account needed.")
