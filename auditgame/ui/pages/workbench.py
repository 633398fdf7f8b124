"""Workbench: tools on the left, the player's diagnosis on the right."""

from __future__ import annotations

import streamlit as st

from auditgame.schema.errors import AuditgameError
from auditgame.ui.case_header import brief, heading
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import session
from auditgame.ui.workbench.diagnosis_form import diagnosis_form
from auditgame.ui.workbench.toolbench import toolbench


def page() -> None:
    """Draw the workbench of the challenge named in the address."""
    try:
        current = session(st.query_params.get("id", ""))
    except AuditgameError as error:
        st.warning(plain(error))
        link("challenges", "Choose a challenge")
        return
    heading(current.card)
    left, right = st.columns([3, 2], gap="large")
    with left:
        brief(current.card)
        if current.card.modality == "image":
            link("microscope", "Open the microscope: a page for every unit", id=current.card.id)
        with st.spinner("Loading the model"):
            current.tools()
        toolbench(current)
    with right:
        diagnosis_form(current)
