"""Challenges: every model that can be audited, as cards."""

from __future__ import annotations

import streamlit as st

from auditgame.schema.cards import Card
from auditgame.ui.case_header import badges, facts, possible_flaws
from auditgame.ui.case_progress import STATES, CaseStatus, case_status
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game
from auditgame.ui.workbench.example_strip import strip


def page() -> None:
    """Draw the cards that pass the filters."""
    st.title("Challenges")
    cards = game().cards()
    states = {card.id: case_status(card) for card in cards}
    with st.container(horizontal=True, gap="medium"):
        kind = st.pills("Input", ["image", "text"], key="kind", bind="query-params")
        tiers = ["tutorial", "easy", "medium", "hard"]
        tier = st.pills("Difficulty", tiers, key="tier", bind="query-params")
        state = st.pills("My progress", list(STATES), key="state", bind="query-params")
    chosen = [
        card
        for card in cards
        if kind in (None, card.modality)
        and tier in (None, card.tier)
        and state in (None, states[card.id].state)
    ]
    if not chosen:
        st.caption("No challenge matches these filters.")
    with st.grid(min_column_width=300, gap="medium"):
        for card in chosen:
            _card(card, states[card.id])


def _card(card: Card, status: CaseStatus) -> None:
    with st.container(border=True, height="stretch"):
        st.markdown(badges(card))
        st.markdown(f"#### {plain(card.title)}")
        strip(card)
        st.caption(facts(card))
        st.caption(f"Possible flaws: {possible_flaws(card)}")
        st.markdown(status.description)
        st.space("stretch")
        if status.state == "submitted":
            link("reveal", "See the reveal", id=card.id)
        link("workbench", "Open the workbench", id=card.id)
