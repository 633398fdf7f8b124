"""Microscope: a page for every unit of a model."""

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
        current = session(st.query_params.get("id", ""))
        scope = current.microscope
    except AuditgameError as error:
        st.warning(plain(error))
        link("challenges", "Choose a challenge")
        return
    heading(current.card)
    link("workbench", "Back to the workbench", id=current.card.id)
    if scope.image_cache.read() is None:
        _compute_images(current)
        return
    site = _layer(current)
    unit = st.query_params.get("unit", "")
    if unit.isdigit() and int(unit) < scope.specimen.site(site).units:
        unit_page(current, site, int(unit))
    elif _quiz():
        play_quiz(current, site)
    else:
        overview(current, site)


def _layer(session: AuditSession) -> str:
    """The chosen layer; choosing one closes the page of a unit."""
    layers, name = session.microscope.layers, key(session, "layer")
    linked = st.query_params.get("site")
    start = linked if linked in layers else layers[len(layers) // 2]
    st.session_state.setdefault(name, start)

    def changed() -> None:
        st.query_params.from_dict({"id": session.card.id, "site": st.session_state[name]})

    chosen = st.segmented_control("Layer", layers, key=name, required=True, on_change=changed)
    st.caption("Everything here was computed in advance and is free. Only ablation costs queries.")
    return chosen if chosen in layers else start


def _quiz() -> bool:
    return bool(st.toggle("Quiz: which examples belong to which image?", key="quiz"))


def _compute_images(session: AuditSession) -> None:
    """For a bundle without images of its units: compute them once, in this machine's cache."""
    name = key(session, "unit images")
    if name not in st.session_state:
        cache = session.microscope.image_cache
        st.session_state[name] = BackgroundTask(
            lambda report: cache.build(lambda share: report(share, "an image of every unit")),
            "Feature visualisation",
        )
    st.fragment(_watch, run_every=0.6)(st.session_state[name])


def _watch(task: BackgroundTask) -> None:
    if task.error:
        st.warning(plain(task.error))
    elif task.ended:
        st.rerun()
    else:
        st.progress(task.share, text=f"{plain(task.name)}: {plain(task.step)}. This runs once.")
