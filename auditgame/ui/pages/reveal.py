"""Reveal: the true diagnosis of a model, and the score of the player's own."""

from __future__ import annotations

import streamlit as st

from auditgame.schema.errors import AuditgameError
from auditgame.ui.case_header import heading
from auditgame.ui.navigation import link
from auditgame.ui.reveal.details import auditors, certificate, share
from auditgame.ui.reveal.verdict import demonstration, next_steps, score, truth
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game, player


def page() -> None:
    """Draw the reveal of the challenge named in the address."""
    try:
        card = game().card(st.query_params.get("id", ""))
        revealed = game().reveal(card.id, player())
    except AuditgameError as error:
        st.warning(plain(error))
        link("challenges", "Choose a challenge")
        return
    heading(card)
    left, right = st.columns([3, 2], gap="large")
    with left:
        truth(revealed)
        demonstration(card, revealed)
    with right:
        score(revealed)
        next_steps(card)
        share(card, revealed)
        auditors(card)
        certificate(revealed)
