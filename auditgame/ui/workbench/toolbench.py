"""The tools: choose one, set its options, see what it costs, run it, look at its exhibits."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.plugins.descriptions import paragraphs, plugin_text, title
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError, Invalid
from auditgame.schema.records import ToolQuestion
from auditgame.tools import Tool
from auditgame.ui.background_task import BackgroundTask
from auditgame.ui.draft import key, problem
from auditgame.ui.safe_text import plain
from auditgame.ui.terms import explained_paragraphs
from auditgame.ui.widgets.uploads import ask_picture
from auditgame.ui.workbench.drill_down import scroll_anchor
from auditgame.ui.workbench.findings import findings, keep
from auditgame.ui.workbench.tool_form import Options, ask_options

QUICK_SECONDS = 1.5
"""A run is awaited this long before progress is shown."""
POLL_SECONDS = 0.6


@st.fragment(key="toolbench")
def toolbench(session: AuditSession) -> None:
    """Draw the tools: the left side of the workbench."""
    scroll_anchor(session)
    tool = load("tool", _choose(session))
    text = paragraphs(plugin_text("tool", tool.name).text)
    st.markdown(f"#### {plain(title('tool', tool.name))}")
    st.html(explained_paragraphs(text[:1]))
    if len(text) > 1:
        with st.expander("How to read it, and how it misleads"):
            st.html(explained_paragraphs(text[1:]))
    _run_row(session, tool, ask_options(session, tool))
    _outcome(session, tool)


def _choose(session: AuditSession) -> str:
    """First the question, then a tool that answers it; each question remembers its last tool."""
    groups, last = _by_question(session), st.session_state.setdefault(key(session, "tools"), {})
    name, linked = key(session, "question"), st.query_params.get("tool")
    if name not in st.session_state:
        start = next((q for q, found in groups.items() if linked in found), next(iter(groups)))
        st.session_state[name] = start
        last |= {start: linked} if linked in groups[start] else {}
    question = _one_of(st.segmented_control, "Question", list(groups), name)
    tool = key(session, "tool", question)
    st.session_state.setdefault(tool, last.get(question, groups[question][0]))
    last[question] = _one_of(st.pills, "Tool", groups[question], tool, _title)
    return last[question]


def _one_of(
    control: Callable[..., Any],
    label: str,
    options: list[str],
    name: str,
    shown: Callable[[str], str] = plain,
) -> str:
    """The chosen option; the first where a browser sends none of them."""
    chosen = control(
        label,
        options,
        key=name,
        required=True,
        format_func=shown,
        label_visibility="collapsed",
    )
    return chosen if chosen in options else options[0]


def _title(tool: str) -> str:
    return plain(title("tool", tool))


def _by_question(session: AuditSession) -> dict[str, list[str]]:
    """The tools that fit the model, by the question that they answer; predictions come first."""
    fitting = sorted(session.tools(), key=lambda name: (name != "predict", _title(name)))
    groups = {q: [n for n in fitting if load("tool", n).asks == q] for q in get_args(ToolQuestion)}
    return {question: names for question, names in groups.items() if names}


def _run_row(session: AuditSession, tool: type[Tool], runs: list[Options]) -> None:
    """The button that runs the tool, and its price."""
    upload = bool(runs) and runs[0].pop("picture", False)
    picture = ask_picture(session) if upload else None
    try:
        cost = sum(_cost(session, tool, options, picture) for options in runs)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    task = st.session_state.get(key(session, "task"))
    busy = task is not None and not task.ended
    with st.container(horizontal=True, vertical_alignment="center"):
        start = partial(_start, session, tool, runs, picture)
        disabled = busy or not runs
        st.button("Run", type="primary", key=key(session, "run"), on_click=start, disabled=disabled)
        price = f"{cost:,} quer{'y' if cost == 1 else 'ies'}"
        left = f"{session.remaining_budget():,} left"
        st.caption(f"{price if runs else 'The text cannot be read yet'} · {left}")


def _cost(session: AuditSession, tool: type[Tool], options: Options, picture: Any) -> int:
    """In queries. AuditgameError where an option is wrong or the tested claim is not complete."""
    trouble = problem(session) if options.get("family") else None
    if trouble:
        raise Invalid(trouble)
    return session.price(tool.name, picture, **options)


def _start(session: AuditSession, tool: type[Tool], runs: list[Options], picture: Any) -> None:
    """Start a background task: one run of the tool, or one for each of two texts."""

    def work(progress: Any) -> Any:
        return [
            session.run_tool(tool.name, progress=progress, picture=picture, **options)
            for options in runs
        ]

    link = {k: v for k, v in runs[0].items() if k not in ("claim", "family")}
    st.query_params.update(tool=tool.name, options=json.dumps(link, separators=(",", ":")))
    task = BackgroundTask(work, title("tool", tool.name))
    st.session_state[key(session, "task")] = task
    st.session_state[key(session, "task tool")] = tool.name
    task.wait(QUICK_SECONDS)


def _outcome(session: AuditSession, tool: type[Tool]) -> None:
    """Progress while a tool runs, then its exhibits."""
    task = st.session_state.get(key(session, "task"))
    owner = st.session_state.get(key(session, "task tool"))
    if task is not None and not task.ended:
        st.fragment(_watch, run_every=POLL_SECONDS)(task)
        return
    if task is not None and task.result is not None:
        keep(session, str(owner), task.result)
    if task is not None and owner == tool.name and task.error:
        st.warning(plain(task.error))
    findings(session, tool.name)


def _watch(task: BackgroundTask) -> None:
    if task.ended:
        st.rerun()
    st.progress(task.share, text=f"{plain(task.name)}: {plain(task.step)}")
    st.button("Stop", on_click=task.stop, key="stop-task")
