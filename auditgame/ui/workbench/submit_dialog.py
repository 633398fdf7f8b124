"""The last step: review the diagnosis once more, then submit it."""

from __future__ import annotations

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.plugins.descriptions import title
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.ui.draft import problem
from auditgame.ui.navigation import go
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game
from auditgame.ui.widgets.form_fields import EMPTY


@st.dialog("Submit this diagnosis?")
def confirm(session: AuditSession, diagnosis: Diagnosis) -> None:
    """Show what will be submitted; submit it once."""
    family = title("flaw", diagnosis.family) if diagnosis.family else EMPTY
    st.markdown(
        f"- Probability of a flaw: **{diagnosis.p_flawed:.0%}**\n"
        f"- Family: **{plain(family)}**\n"
        f"- Claim: **{'complete' if diagnosis.claim else 'none'}**\n"
        f"- Units: **{len(diagnosis.units) or 'none'}**"
    )
    trouble = problem(session)
    if trouble:
        st.warning(f"The claim is not complete and will be left out. {plain(trouble)}")
    name = _ask_name(session)
    st.caption(_rules(session))
    if st.button("Submit", type="primary", width="stretch", key="submit"):
        _submit(session, diagnosis, name)


def _ask_name(session: AuditSession) -> str | None:
    ranked = session.card.mode == "ranked" and session.player.name.startswith("guest-")
    return st.text_input("Your name on the leaderboard", max_chars=40) if ranked else None


def _rules(session: AuditSession) -> str:
    count = session.card.attempts
    if session.card.mode == "ranked":
        attempts = f"{count} attempt{'s' if count > 1 else ''}"
        return f"Ranked: {attempts} in all. Only the first attempt counts on the leaderboard."
    return (
        "Practice: the answer is shown at once, and you may try again. Only the first attempt "
        "counts on the leaderboard."
    )


def _submit(session: AuditSession, diagnosis: Diagnosis, name: str | None) -> None:
    try:
        if name:
            game().ledger.rename(session.player, name)
        game().submit(session.card.id, session.player, diagnosis)
    except AuditgameError as error:
        st.error(plain(error))
        return
    go("reveal", id=session.card.id)
