"""Microscope: every unit of a model has a page."""

from __future__ import annotations

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.ui.background_task import BackgroundTask
from auditgame.ui.case_header import heading
from auditgame.ui.draft import key
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import session
from auditgame.ui.unit.unit_overview import overview, play_quiz
from auditgame.ui.unit.unit_page import unit_page


def page() -> None:
    """Draw the unit, or the layer, named in the address."""
    try:
        here = session(st.query_params.get("id", ""))
        scope = here.microscope
    except AuditgameError as error:
        st.warning(plain(error))
        link("challenges", "Choose a challenge")
        return
    heading(here.card)
    link("workbench", "Back to the workbench", id=here.card.id)
    if scope.shelf.look() is None:
        _paint(here)
        return
    site = _layer(here)
    unit = st.query_params.get("unit", "")
    if unit.isdigit() and int(unit) < scope.specimen.site(site).units:
        unit_page(here, site, int(unit))
    elif _quiz():
        play_quiz(here, site)
    else:
        overview(here, site)


def _layer(session: AuditSession) -> str:
    """The layer that is looked at; choosing one closes the page of a unit."""
    layers, name = session.microscope.layers, key(session, "layer")
    asked = st.query_params.get("site")
    start = asked if asked in layers else layers[len(layers) // 2]
    st.session_state.setdefault(name, start)

    def moved() -> None:
        st.query_params.from_dict({"id": session.card.id, "site": st.session_state[name]})

    chosen = st.segmented_control("Layer", layers, key=name, required=True, on_change=moved)
    st.caption(
        "Looking is free: all of this was worked out beforehand. Switching off costs probes."
    )
    return chosen if chosen in layers else start


def _quiz() -> bool:
    return bool(st.toggle("Quiz: which examples belong to which picture?", key="quiz"))


def _paint(session: AuditSession) -> None:
    """A bundle without pictures: paint them once, and keep them on this machine."""
    name = key(session, "painting")
    if name not in st.session_state:
        shelf = session.microscope.shelf
        st.session_state[name] = BackgroundTask(
            lambda say: shelf.fill(lambda share: say(share, "a picture of every unit")), "Painting"
        )
    st.fragment(_watch, run_every=0.6)(st.session_state[name])


def _watch(errand: BackgroundTask) -> None:
    if errand.error:
        st.warning(plain(errand.error))
    elif errand.over:
        st.rerun()
    else:
        st.progress(errand.share, text=f"{plain(errand.name)}: {plain(errand.words)}. Once only.")
