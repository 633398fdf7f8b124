"""From a word or a cell to a tool that examines it further, with its options filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.plugins.descriptions import plugin_text, title
from auditgame.registry import load
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.option_fields import prompt_names, resolved
from auditgame.ui.workbench.text_state import SLOTS, TextState

HTML = """
<span aria-hidden="true"></span>
"""
JS = """
export default function ({ data, parentElement }) {
  const host = parentElement.host ?? parentElement
  host.style.scrollMarginTop = "5rem"
  if (data.opened > Number(host.dataset.opened ?? 0)) host.scrollIntoView({ block: "start" })
  host.dataset.opened = data.opened
}
"""
POSITIONS, WORDS = ("place", "position"), ("words",)
"""Names of the options that take a position in the text, and words to try."""


class DrillDown(NamedTuple):
    """A tool that examines a word, the options for it, and a label that says so."""

    tool: str
    options: dict[str, Any]
    label: str


def drill_downs(text: TextState, position: int) -> list[DrillDown]:
    """The tools for the word at this position; those that take a position come first."""
    found = []
    for tool in text.session.tools():
        fields = resolved(load("tool", tool).Options.model_json_schema())
        pairs, name = prompt_names(fields), title("tool", tool)
        options = text.options(pairs[0]) if pairs else {}
        if at := next((field for field in POSITIONS if field in fields and options), None):
            label = f"{name}, at position {position}"
            found.append((0, DrillDown(tool, {**options, at: position}, label)))
        elif takes := next((field for field in WORDS if field in fields), None):
            word = text.words[position]
            found.append((1, DrillDown(tool, {**options, takes: word}, f"{name}, with '{word}'")))
        elif options:
            found.append((2, DrillDown(tool, options, f"{name}, of this text")))
    return [way for _, way in sorted(found, key=lambda pair: (pair[0], pair[1].label))]


def open_tool(session: AuditSession, tool: str, options: Mapping[str, Any]) -> None:
    """Select a tool with these options, as its link would. For callbacks."""
    question, prefix = plugin_text("tool", tool).asks, key(session, "option", tool)
    for name in [n for n in st.session_state if str(n).startswith(f"{prefix}/")]:
        del st.session_state[name]
    st.session_state[key(session, "question")] = question
    st.session_state[key(session, "tool", question)] = tool
    opened = key(session, "opened")
    st.session_state[opened] = st.session_state.get(opened, 0) + 1
    st.query_params.update(tool=tool, options=json.dumps(options, separators=(",", ":")))
    _set_texts(session, tool, options)
    st.toast(f"{plain(title('tool', tool))}: its options are filled in. Press Run.")


def _set_texts(session: AuditSession, tool: str, options: Mapping[str, Any]) -> None:
    """Put the texts among these options into the text editor."""
    names = prompt_names(resolved(load("tool", tool).Options.model_json_schema()))
    for slot, (text, example) in zip(SLOTS, names, strict=False):
        if text in options or example in options:
            TextState(session, slot).load(options.get(text, ""), options.get(example or "", 0))


def scroll_anchor(session: AuditSession) -> None:
    """The point that comes into view when a click has opened a tool."""
    component = st.components.v2.component("auditgame_top", html=HTML, js=JS)
    opened = st.session_state.get(key(session, "opened"), 0)
    component(key=key(session, "top"), data={"opened": opened}, height=1)
