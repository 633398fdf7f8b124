"""Workbench: tools on the left, the case file on the right."""

from __future__ import annotations

import streamlit as st

from auditgame.schema.errors import AuditgameError
from auditgame.ui.case_header import brief, heading
from auditgame.ui.navigation import link
from auditgame.ui.safe_text import plain
from auditgame.ui.session import session
from auditgame.ui.workbench.casefile import casefile
from auditgame.ui.workbench.toolbench import toolbench


def page() -> None:
    """Draw the workbench of the challenge named in the address."""
    try:
        here = session(st.query_params.get("id", ""))
    except AuditgameError as error:
        st.warning(plain(error))
        link("challenges", "Choose a challenge")
        return
    heading(here.card)
    left, right = st.columns([3, 2], gap="large")
    with left:
        brief(here.card)
        if here.card.modality == "image":
            link("microscope", "Open the microscope", id=here.card.id)
        with st.spinner("Setting the model on the table"):
            here.tools()
        toolbench(here)
    with right:
        casefile(here)
