"""The tools: choose one, set it up, see what it costs, run it, look at what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.registry import load
from auditgame.registry.descriptions import paragraphs, plugin_text
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import ToolQuestion
from auditgame.tools import Tool
from auditgame.ui.background_task import BackgroundTask
from auditgame.ui.draft import key, problem
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.uploads import ask_picture
from auditgame.ui.workbench.drill_down import at_top
from auditgame.ui.workbench.findings import findings, keep
from auditgame.ui.workbench.tool_form import Options, ask_options

QUICK_SECONDS = 1.5
LOOK_IN_SECONDS = 0.6


@st.fragment(key="toolbench")
def toolbench(session: AuditSession) -> None:
    """Everything on the left of the workbench."""
    at_top(session)
    tool = load("tool", _choose(session))
    text = paragraphs(plugin_text("tool", tool.name).text)
    st.markdown(f"#### {plain(tool.title)}")
    st.markdown(plain(text[0] if text else ""))
    if len(text) > 1:
        with st.expander("How to read it, and how it misleads"):
            for part in text[1:]:
                st.markdown(_headed(part))
    _run_row(session, tool, ask_options(session, tool))
    _outcome(session, tool)


def _choose(session: AuditSession) -> str:
    """First the question, then one of the tools that ask it; each question keeps its last tool."""
    groups, kept = _by_question(session), st.session_state.setdefault(key(session, "tools"), {})
    asked, linked = key(session, "question"), st.query_params.get("tool")
    if asked not in st.session_state:
        home = next((q for q, found in groups.items() if linked in found), next(iter(groups)))
        st.session_state[asked] = home
        kept |= {home: linked} if linked in groups[home] else {}
    question = _one_of(st.segmented_control, "Question", list(groups), asked)
    here = key(session, "tool", question)
    st.session_state.setdefault(here, kept.get(question, groups[question][0]))
    kept[question] = _one_of(st.pills, "Tool", groups[question], here, _title)
    return kept[question]


def _one_of(
    control: Callable[..., Any],
    label: str,
    options: list[str],
    here: str,
    words: Callable[[str], str] = plain,
) -> str:
    """What is chosen of these; the first where a browser sends none of them."""
    chosen = control(
        label,
        options,
        key=here,
        required=True,
        format_func=words,
        label_visibility="collapsed",
    )
    return chosen if chosen in options else options[0]


def _title(tool: str) -> str:
    return plain(plugin_text("tool", tool).title)


def _by_question(session: AuditSession) -> dict[str, list[str]]:
    """The tools that fit the model, under what they ask; the predictions come first."""
    fitting = sorted(session.tools(), key=lambda name: (name != "predict", _title(name)))
    groups = {q: [n for n in fitting if load("tool", n).asks == q] for q in get_args(ToolQuestion)}
    return {question: names for question, names in groups.items() if names}


def _headed(part: str) -> str:
    head, colon, rest = part.partition(":")
    return f"**{plain(head)}.** {plain(rest.strip())}" if colon and len(head) < 24 else plain(part)


def _run_row(session: AuditSession, tool: type[Tool], asked: list[Options]) -> None:
    pictured = bool(asked) and asked[0].pop("picture", False)
    picture = ask_picture(session) if pictured else None
    try:
        cost = sum(_cost(session, tool, options, picture) for options in asked)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    errand = st.session_state.get(key(session, "errand"))
    busy = errand is not None and not errand.over
    with st.container(horizontal=True, vertical_alignment="center"):
        start = partial(_start, session, tool, asked, picture)
        dead = busy or not asked
        st.button("Run", type="primary", key=key(session, "run"), on_click=start, disabled=dead)
        price = (
            f"{cost:,} probe{'' if cost == 1 else 's'}" if asked else "The text cannot be read yet"
        )
        st.caption(f"{price} · {session.remaining_budget():,} left")


def _cost(session: AuditSession, tool: type[Tool], options: Options, picture: Any) -> int:
    """In probes. AuditgameError where an option is wrong, or the claim to be tested incomplete."""
    trouble = problem(session) if options.get("family") else None
    if trouble:
        raise AuditgameError(trouble)
    return session.price(tool.name, picture, **options)


def _start(session: AuditSession, tool: type[Tool], asked: list[Options], picture: Any) -> None:
    """Set an errand going: one use of the tool, or one for each of two texts."""

    def work(progress: Any) -> Any:
        return [
            session.run_tool(tool.name, progress=progress, picture=picture, **options)
            for options in asked
        ]

    link = {k: v for k, v in asked[0].items() if k not in ("claim", "family")}
    st.query_params.update(tool=tool.name, options=json.dumps(link, separators=(",", ":")))
    errand = BackgroundTask(work, tool.title)
    st.session_state[key(session, "errand")] = errand
    st.session_state[key(session, "errand tool")] = tool.name
    errand.wait(QUICK_SECONDS)


def _outcome(session: AuditSession, tool: type[Tool]) -> None:
    """Progress while a tool works, then what it showed."""
    errand = st.session_state.get(key(session, "errand"))
    whose = st.session_state.get(key(session, "errand tool"))
    if errand is not None and not errand.over:
        st.fragment(_watch, run_every=LOOK_IN_SECONDS)(errand)
        return
    if errand is not None and errand.result is not None:
        keep(session, str(whose), errand.result)
    if errand is not None and whose == tool.name and errand.error:
        st.warning(plain(errand.error))
    findings(session, tool.name)


def _watch(errand: BackgroundTask) -> None:
    if errand.over:
        st.rerun()
    st.progress(errand.share, text=f"{plain(errand.name)}: {plain(errand.words)}")
    st.button("Stop", on_click=errand.stop, key="stop-errand")
