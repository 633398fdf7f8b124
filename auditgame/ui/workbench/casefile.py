"""The case file: hypothesis, claim, probability, evidence, notes, and the lock."""

from __future__ import annotations

import streamlit as st

from auditgame.play.audit_session import Desk
from auditgame.play.scoring import detection
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.ui.claim.claim_effects import rehearse
from auditgame.ui.claim.claim_form import ask_claim
from auditgame.ui.draft import case, diagnosis, key, problem, update
from auditgame.ui.registry_text import leaf
from auditgame.ui.safe_text import plain
from auditgame.ui.workbench.evidence_panel import evidence
from auditgame.ui.workbench.submit_dialog import confirm


@st.fragment(key="casefile")
def casefile(desk: Desk) -> None:
    """Everything a player says of the model; each change is saved as it is made."""
    st.subheader("Case file")
    _probability(desk)
    _claim(desk)
    _units(desk)
    evidence(desk)
    _notes(desk)
    _lock(desk)


def _probability(desk: Desk) -> None:
    slider, twin = key(desk, "slider"), key(desk, "number")
    for name in (slider, twin):
        st.session_state.setdefault(name, int(case(desk)["percent"]))

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
    update(desk, percent=percent)
    flawed, innocent = (detection(percent / 100, truth).points for truth in (True, False))
    st.caption(
        f"Worth **{flawed:+.0f}** if it is flawed, **{innocent:+.0f}** if it is innocent. "
        "Your honest belief earns most on average."
    )


def _claim(desk: Desk) -> None:
    families, name = list(desk.card.families), key(desk, "family")
    st.session_state.setdefault(name, case(desk)["family"])
    if st.session_state[name] not in families:
        st.session_state[name] = None
    chosen = st.selectbox(
        "What kind of flaw?",
        families,
        index=None,
        key=name,
        placeholder="not said",
        format_func=lambda family: leaf("flaw", family).title,
    )
    update(desk, family=chosen)
    kind = load("flaw", chosen).Claim if chosen else None
    if chosen is None or kind is None:
        return
    with st.container(border=True):
        said = case(desk)["claims"].get(chosen, {})
        found = ask_claim(desk, chosen, kind, said)
        update(desk, claims={**case(desk)["claims"], chosen: found})
        trouble = problem(desk)
        if trouble:
            st.caption(f":orange[{plain(trouble)}]")
        else:
            rehearse(desk)


def _units(desk: Desk) -> None:
    from auditgame.evaluation.mechanism import MAX_UNITS, admissible, check_units, nameable

    options = nameable(desk.specimen, admissible(desk.specimen))
    name, most = key(desk, "units"), MAX_UNITS[desk.card.modality]
    st.session_state.setdefault(name, [u for u in case(desk)["units"] if u in options])
    units = st.multiselect(
        "Which units carry it?",
        options,
        key=name,
        max_selections=most,
        placeholder="optional",
        help=f"Up to {most}. The referee switches them off and sees what is left of the flaw.",
    )
    update(desk, units=list(units))
    try:
        check_units(desk.specimen, units)
    except AuditgameError as error:
        st.caption(f":orange[{plain(str(error))}]")


def _notes(desk: Desk) -> None:
    for name, label, lines in (("hypothesis", "My hypothesis", 68), ("notes", "Notes", 100)):
        here = key(desk, name)
        st.session_state.setdefault(here, case(desk)[name])
        text = st.text_area(label, key=here, height=lines, max_chars=1900)
        update(desk, **{name: text})


def _lock(desk: Desk) -> None:
    if st.button("Lock in", type="primary", width="stretch", key=key(desk, "lock")):
        try:
            confirm(desk, diagnosis(desk))
        except AuditgameError as error:
            st.error(plain(error))
    st.caption("Your draft is saved as you go.")
