"""My cases: the drafts and submissions of this visitor."""

from __future__ import annotations

import streamlit as st

from auditgame.ui.case_progress import case_status
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game, player


def page() -> None:
    """Draw one row for each challenge that was started."""
    st.title("My cases")
    st.caption(f"You play as {plain(player().name)}.")
    states = [(card, case_status(card)) for card in game().cards()]
    started = [(card, status) for card, status in states if status.state != "not started"]
    if not started:
        st.markdown("You have no drafts and no submissions yet.")
        link("challenges", "Choose a challenge")
    for card, status in started:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(card.title)}**", width="stretch")
            st.markdown(status.description, width="content")
            if count := len(status.receipts):
                st.caption(f"{count} submission{'s' if count > 1 else ''}", width="content")
                link("reveal", "Reveal", id=card.id)
            link("workbench", "Workbench", id=card.id)
