"""My cases: drafts and hand-ins of this visitor."""

from __future__ import annotations

import streamlit as st

from auditgame.ui.case_progress import case_status
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game, player


def page() -> None:
    """Draw one row for each case that was begun."""
    st.title("My cases")
    st.caption(f"You play as {plain(player().name)}.")
    begun = [(card, case_status(card)) for card in game().cards()]
    begun = [(card, mine) for card, mine in begun if mine.state != "not tried"]
    if not begun:
        st.markdown("Nothing here yet.")
        link("challenges", "Choose a challenge")
    for card, mine in begun:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(card.title)}**", width="stretch")
            st.markdown(mine.words, width="content")
            if mine.receipts:
                st.caption(f"{len(mine.receipts)} handed in", width="content")
                link("reveal", "Reveal", id=card.id)
            link("workbench", "Workbench", id=card.id)
