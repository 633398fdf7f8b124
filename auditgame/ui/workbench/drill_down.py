"""Going deeper: from a word or a cell to the tool that it leads to, with its options filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.registry import load
from auditgame.registry.descriptions import plugin_text
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.option_fields import followed, prompt_names
from auditgame.ui.workbench.text_state import SLOTS, TextState

HTML = """
<span aria-hidden="true"></span>
"""
JS = """
export default function ({ data, parentElement }) {
  const host = parentElement.host ?? parentElement
  host.style.scrollMarginTop = "5rem"
  if (data.led > Number(host.dataset.led ?? 0)) host.scrollIntoView({ block: "start" })
  host.dataset.led = data.led
}
"""
PLACES, WORDS = ("place", "position"), ("words",)
"""Names under which tools ask for a place in the text, and for words to try."""


class DrillDown(NamedTuple):
    """A tool that a word leads to, with options; `words` says so."""

    tool: str
    options: dict[str, Any]
    words: str


def drill_downs(sheet: TextState, place: int) -> list[DrillDown]:
    """What can be asked of the word at this place, those that ask for places and words first."""
    found = []
    for tool in sheet.session.tools():
        fields = followed(load("tool", tool).Options.model_json_schema())
        pairs, title = prompt_names(fields), plugin_text("tool", tool).title
        text = sheet.options(pairs[0]) if pairs else {}
        if at := next((name for name in PLACES if name in fields and text), None):
            found.append((0, DrillDown(tool, {**text, at: place}, f"{title}, at place {place}")))
        elif said := next((name for name in WORDS if name in fields), None):
            word = sheet.words[place]
            found.append((1, DrillDown(tool, {**text, said: word}, f"{title}, with '{word}'")))
        elif text:
            found.append((2, DrillDown(tool, text, f"{title}, of this text")))
    return [lead for _, lead in sorted(found, key=lambda pair: (pair[0], pair[1].words))]


def open_tool(session: AuditSession, tool: str, options: Mapping[str, Any]) -> None:
    """Show a tool with these options, as its link would. For callbacks."""
    question, here = plugin_text("tool", tool).asks, key(session, "option", tool)
    for name in [n for n in st.session_state if str(n).startswith(f"{here}/")]:
        del st.session_state[name]
    st.session_state[key(session, "question")] = question
    st.session_state[key(session, "tool", question)] = tool
    st.session_state[key(session, "led")] = st.session_state.get(key(session, "led"), 0) + 1
    st.query_params.update(tool=tool, options=json.dumps(options, separators=(",", ":")))
    _lay(session, tool, options)
    st.toast(f"{plain(plugin_text('tool', tool).title)}: its options are filled in. Press Run.")


def _lay(session: AuditSession, tool: str, options: Mapping[str, Any]) -> None:
    """Put the texts among these options on the table."""
    names = prompt_names(followed(load("tool", tool).Options.model_json_schema()))
    for slot, (text, example) in zip(SLOTS, names, strict=False):
        if text in options or example in options:
            TextState(session, slot).lay(options.get(text, ""), options.get(example or "", 0))


def at_top(session: AuditSession) -> None:
    """Bring what a click has led to into view."""
    component = st.components.v2.component("auditgame_top", html=HTML, js=JS)
    led = st.session_state.get(key(session, "led"), 0)
    component(key=key(session, "top"), data={"led": led}, height=1)
