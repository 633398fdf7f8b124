"""What a tool showed, exhibit by exhibit: each can be pinned, and its words and cells lead on."""

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
from auditgame.ui.workbench.example_strip import bench


def keep(session: AuditSession, tool: str, uses: list[ToolRun]) -> None:
    """Remember what a tool showed last: of one use, or of two side by side."""
    first, *others = uses
    st.session_state[key(session, "shown", tool)] = first
    st.session_state[key(session, "shown beside", tool)] = others[0] if others else None


def findings(session: AuditSession, tool: str) -> None:
    """What the tool showed last; before its first use, the player's examples."""
    use = st.session_state.get(key(session, "shown", tool))
    beside = st.session_state.get(key(session, "shown beside", tool))
    if use is None:
        bench(session)
        return
    pinned = {pin.ref["exhibit"] for pin in session.pins()}
    here = key(session, "exhibit", tool)
    if beside is None:
        _one_by_one(session, use, here, pinned)
    else:
        _two_by_two(session, use, beside, here, pinned)


def _one_by_one(session: AuditSession, use: ToolRun, here: str, pinned: set[str]) -> None:
    numbered = enumerate(use.exhibits)
    for kind, group in groupby(numbered, key=lambda pair: pair[1].kind):
        with st.grid(min_column_width=330) if kind == "heatmap" else st.container():
            for number, exhibit in group:
                _exhibit(session, exhibit, f"{here}/{number}", pinned)


def _two_by_two(
    session: AuditSession, left: ToolRun, right: ToolRun, here: str, pinned: set[str]
) -> None:
    """Each exhibit beside its counterpart of the other text, on one scale."""
    for number, pair in enumerate(zip_longest(left.exhibits, right.exhibits)):
        there = [exhibit for exhibit in pair if exhibit is not None]
        scale = colour_range(there)
        with st.grid(min_column_width=300):
            for side, exhibit in enumerate(there):
                _exhibit(session, exhibit, f"{here}/{number}/{side}", pinned, scale)


def _exhibit(
    session: AuditSession,
    exhibit: Exhibit,
    name: str,
    pinned: set[str],
    scale: ColourRange | None = None,
) -> None:
    follow = getattr(exhibit, "follow", None)
    go = partial(open_tool, session) if follow and follow.tool in session.tools() else None
    with st.container(border=True):
        draw(exhibit, name, partial(pin_button, session, exhibit, name, pinned), go, scale)
