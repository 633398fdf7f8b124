"""The case file: hypothesis, claim, probability, evidence, notes, and the lock."""

from __future__ import annotations

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.play.scoring import detection
from auditgame.registry import load
from auditgame.registry.descriptions import plugin_text
from auditgame.schema.errors import AuditgameError
from auditgame.ui.claim.claim_effects import rehearse
from auditgame.ui.claim.claim_form import ask_claim
from auditgame.ui.draft import case, diagnosis, key, problem, update
from auditgame.ui.safe_text import plain
from auditgame.ui.workbench.evidence_panel import evidence
from auditgame.ui.workbench.submit_dialog import confirm


@st.fragment(key="casefile")
def casefile(session: AuditSession) -> None:
    """Everything a player says of the model; each change is saved as it is made."""
    st.subheader("Case file")
    _probability(session)
    _claim(session)
    _units(session)
    evidence(session)
    _notes(session)
    _lock(session)


def _probability(session: AuditSession) -> None:
    slider, twin = key(session, "slider"), key(session, "number")
    for name in (slider, twin):
        st.session_state.setdefault(name, int(case(session)["percent"]))

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
    flawed, innocent = (detection(percent / 100, truth).points for truth in (True, False))
    st.caption(
        f"Worth **{flawed:+.0f}** if it is flawed, **{innocent:+.0f}** if it is innocent. "
        "Your honest belief earns most on average."
    )


def _claim(session: AuditSession) -> None:
    families, name = list(session.card.families), key(session, "family")
    st.session_state.setdefault(name, case(session)["family"])
    if st.session_state[name] not in families:
        st.session_state[name] = None
    chosen = st.selectbox(
        "What kind of flaw?",
        families,
        index=None,
        key=name,
        placeholder="not said",
        format_func=lambda family: plugin_text("flaw", family).title,
    )
    update(session, family=chosen)
    kind = load("flaw", chosen).Claim if chosen else None
    if chosen is None or kind is None:
        return
    with st.container(border=True):
        said = case(session)["claims"].get(chosen, {})
        found = ask_claim(session, chosen, kind, said)
        update(session, claims={**case(session)["claims"], chosen: found})
        trouble = problem(session)
        if trouble:
            st.caption(f":orange[{plain(trouble)}]")
        else:
            rehearse(session)


def _units(session: AuditSession) -> None:
    from auditgame.evaluation.mechanism import MAX_UNITS, allowed_sites, allowed_units, check_units

    options = allowed_units(session.specimen, allowed_sites(session.specimen))
    name, most = key(session, "units"), MAX_UNITS[session.card.modality]
    st.session_state.setdefault(name, [u for u in case(session)["units"] if u in options])
    units = st.multiselect(
        "Which units carry it?",
        options,
        key=name,
        max_selections=most,
        placeholder="optional",
        help=f"Up to {most}. The referee switches them off and sees what is left of the flaw.",
    )
    update(session, units=list(units))
    try:
        check_units(session.specimen, units)
    except AuditgameError as error:
        st.caption(f":orange[{plain(str(error))}]")


def _notes(session: AuditSession) -> None:
    for name, label, lines in (("hypothesis", "My hypothesis", 68), ("notes", "Notes", 100)):
        here = key(session, name)
        st.session_state.setdefault(here, case(session)[name])
        text = st.text_area(label, key=here, height=lines, max_chars=1900)
        update(session, **{name: text})


def _lock(session: AuditSession) -> None:
    if st.button("Lock in", type="primary", width="stretch", key=key(session, "lock")):
        try:
            confirm(session, diagnosis(session))
        except AuditgameError as error:
            st.error(plain(error))
    st.caption("Your draft is saved as you go.")
