"""The player's diagnosis: probability, family, claim, units, evidence and notes."""

from __future__ import annotations

from functools import partial

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.play.scoring import detection
from auditgame.plugins.descriptions import title
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.ui.claim.claim_effects import show_effects
from auditgame.ui.claim.claim_form import ask_claim
from auditgame.ui.draft import diagnosis, key, problem, read_draft, update
from auditgame.ui.safe_text import plain
from auditgame.ui.terms import definition
from auditgame.ui.widgets.form_fields import EMPTY
from auditgame.ui.workbench.evidence_panel import evidence
from auditgame.ui.workbench.submit_dialog import confirm


@st.fragment(key="casefile")
def diagnosis_form(session: AuditSession) -> None:
    """Draw everything that a player states; each change is saved as it is made."""
    st.subheader("Your diagnosis")
    _probability(session)
    _claim(session)
    _units(session)
    evidence(session)
    _notes(session)
    _submit(session)


def _probability(session: AuditSession) -> None:
    slider, twin = key(session, "slider"), key(session, "number")
    for name in (slider, twin):
        st.session_state.setdefault(name, int(read_draft(session)["percent"]))

    def mirror(source: str, copy: str) -> None:
        st.session_state[copy] = st.session_state[source]

    st.markdown("**How likely is it that this model is flawed?**")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.slider(
        "Per cent",
        0,
        100,
        key=slider,
        format="%d%%",
        on_change=mirror,
        args=(slider, twin),
        label_visibility="collapsed",
    )
    value = right.number_input(
        "Per cent, as a number",
        0,
        100,
        key=twin,
        on_change=mirror,
        args=(twin, slider),
        label_visibility="collapsed",
    )
    percent = min(max(int(value), 0), 100)
    update(session, percent=percent)
    flawed, clean = (detection(percent / 100, truth).points for truth in (True, False))
    st.caption(
        f"**{flawed:+.0f}** points if it is flawed, **{clean:+.0f}** if it is clean. "
        "Stating what you believe earns most on average."
    )


def _claim(session: AuditSession) -> None:
    families, name = list(session.card.families), key(session, "family")
    st.session_state.setdefault(name, read_draft(session)["family"])
    if st.session_state[name] not in families:
        st.session_state[name] = None
    family = st.selectbox(
        "What kind of flaw?",
        families,
        index=None,
        key=name,
        placeholder=EMPTY,
        format_func=partial(title, "flaw"),
        help=definition("Family"),
    )
    update(session, family=family)
    kind = load("flaw", family).Claim if family else None
    if family is None or kind is None:
        return
    with st.container(border=True):
        claims = read_draft(session)["claims"]
        values = ask_claim(session, family, kind, claims.get(family, {}))
        update(session, claims={**claims, family: values})
        trouble = problem(session)
        if trouble:
            st.caption(f":orange[{plain(trouble)}]")
        else:
            show_effects(session)


def _units(session: AuditSession) -> None:
    from auditgame.evaluation.mechanism import MAX_UNITS, allowed_sites, allowed_units, check_units

    options = allowed_units(session.specimen, allowed_sites(session.specimen))
    name, most = key(session, "units"), MAX_UNITS[session.card.modality]
    st.session_state.setdefault(name, [u for u in read_draft(session)["units"] if u in options])
    units = st.multiselect(
        "Which units carry the flaw?",
        options,
        key=name,
        max_selections=most,
        placeholder="optional",
        help=f"Up to {most}. They are ablated, and the score measures how much of the flaw's "
        f"effect goes away. Unit: {definition('Unit')}",
    )
    update(session, units=list(units))
    try:
        check_units(session.specimen, units)
    except AuditgameError as error:
        st.caption(f":orange[{plain(str(error))}]")


def _notes(session: AuditSession) -> None:
    for field, label, height in (("hypothesis", "My hypothesis", 68), ("notes", "Notes", 100)):
        name = key(session, field)
        st.session_state.setdefault(name, read_draft(session)[field])
        text = st.text_area(label, key=name, height=height, max_chars=1900)
        update(session, **{field: text})


def _submit(session: AuditSession) -> None:
    name = key(session, "submit")
    if st.button("Review and submit", type="primary", width="stretch", key=name):
        try:
            confirm(session, diagnosis(session))
        except AuditgameError as error:
            st.error(plain(error))
    st.caption("Your draft is saved automatically.")
