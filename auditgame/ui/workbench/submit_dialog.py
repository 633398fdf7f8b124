"""The last step of a case: look once more, then hand in."""

from __future__ import annotations

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.registry.descriptions import plugin_text
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.ui.draft import problem
from auditgame.ui.navigation import go
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game


@st.dialog("Lock in this diagnosis?")
def confirm(session: AuditSession, diagnosis: Diagnosis) -> None:
    """Show what will be handed in; hand it in once."""
    family = plugin_text("flaw", diagnosis.family).title if diagnosis.family else "not said"
    st.markdown(
        f"- Flawed with **{diagnosis.p_flawed:.0%}**\n"
        f"- Kind: **{plain(family)}**\n"
        f"- Claim: **{'complete' if diagnosis.claim else 'none'}**\n"
        f"- Units: **{len(diagnosis.units) or 'none'}**"
    )
    trouble = problem(session)
    if trouble:
        st.warning(f"The claim is not complete and will be left out. {plain(trouble)}")
    name = _ask_name(session)
    st.caption(_rules(session))
    if st.button("Hand in", type="primary", width="stretch", key="hand-in"):
        _hand_in(session, diagnosis, name)


def _ask_name(session: AuditSession) -> str | None:
    ranked = session.card.mode == "ranked" and session.player.name.startswith("guest-")
    return st.text_input("Your name on the leaderboard", max_chars=40) if ranked else None


def _rules(session: AuditSession) -> str:
    if session.card.mode == "ranked":
        return f"Ranked: {session.card.attempts} attempt in all. The first one counts."
    return "Practice: the answer is shown at once. You may try again; the first attempt counts."


def _hand_in(session: AuditSession, diagnosis: Diagnosis, name: str | None) -> None:
    try:
        if name:
            game().ledger.rename(session.player, name)
        game().submit(session.card.id, session.player, diagnosis)
    except AuditgameError as error:
        st.error(plain(error))
        return
    go("reveal", id=session.card.id)
