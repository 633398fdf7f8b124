"""The exhibits of a tool: each can be pinned, and its words and cells lead to other tools."""

from __future__ import annotations

from functools import partial
from itertools import groupby, zip_longest

import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession, ToolRun
from auditgame.ui.draft import key
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.exhibit_views.exhibit_context import ColourRange, colour_range
from auditgame.ui.workbench.drill_down import open_tool
from auditgame.ui.workbench.evidence_panel import pin_button
from auditgame.ui.workbench.example_strip import example_list


def keep(session: AuditSession, tool: str, runs: list[ToolRun]) -> None:
    """Remember the last run of a tool, or the last two where they are shown side by side."""
    first, *others = runs
    st.session_state[key(session, "shown", tool)] = first
    st.session_state[key(session, "shown beside", tool)] = others[0] if others else None


def findings(session: AuditSession, tool: str) -> None:
    """What the tool showed last; before its first run, the player's examples."""
    run = st.session_state.get(key(session, "shown", tool))
    second = st.session_state.get(key(session, "shown beside", tool))
    if run is None:
        example_list(session)
        return
    pinned = {pin.ref["exhibit"] for pin in session.pins()}
    name = key(session, "exhibit", tool)
    if second is None:
        _one_run(session, run, name, pinned)
    else:
        _two_runs(session, run, second, name, pinned)


def _one_run(session: AuditSession, run: ToolRun, name: str, pinned: set[str]) -> None:
    numbered = enumerate(run.exhibits)
    for kind, group in groupby(numbered, key=lambda pair: pair[1].kind):
        with st.grid(min_column_width=330) if kind == "heatmap" else st.container():
            for number, exhibit in group:
                _exhibit(session, exhibit, f"{name}/{number}", pinned)


def _two_runs(
    session: AuditSession, left: ToolRun, right: ToolRun, name: str, pinned: set[str]
) -> None:
    """Each exhibit beside the same exhibit for the other text, on one scale."""
    for number, pair in enumerate(zip_longest(left.exhibits, right.exhibits)):
        shown = [exhibit for exhibit in pair if exhibit is not None]
        scale = colour_range(shown)
        with st.grid(min_column_width=300):
            for side, exhibit in enumerate(shown):
                _exhibit(session, exhibit, f"{name}/{number}/{side}", pinned, scale)


def _exhibit(
    session: AuditSession,
    exhibit: Exhibit,
    name: str,
    pinned: set[str],
    scale: ColourRange | None = None,
) -> None:
    follow = getattr(exhibit, "follow", None)
    leads_on = follow and follow.tool in session.tools()
    opener = partial(open_tool, session) if leads_on else None
    with st.container(border=True):
        pin = partial(pin_button, session, exhibit, name, pinned)
        draw(exhibit, name, pin, opener, scale)
