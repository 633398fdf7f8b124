"""The tools: choose one, set it up, see what it costs, run it, look at what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any, get_args

import streamlit as st

from auditgame.catalog import load
from auditgame.desk import Desk
from auditgame.exhibits import Exhibit
from auditgame.tools import Tool
from auditgame.types import AuditgameError, Question, digest
from auditgame.ui.case import case, claim_of, key, problem
from auditgame.ui.docstrings import leaf, paragraphs
from auditgame.ui.errand import Errand
from auditgame.ui.exhibits import draw
from auditgame.ui.fields import Field, ask, followed, wanted
from auditgame.ui.samples import bench
from auditgame.ui.uploads import ask_picture
from auditgame.ui.words import plain

QUICK_SECONDS = 1.5
LOOK_IN_SECONDS = 0.6
FOREIGN = {"image": {"text"}, "text": {"picture"}}


@st.fragment(key="toolbench")
def toolbench(desk: Desk) -> None:
    """Everything on the left of the workbench."""
    tool = load("tool", _choose(desk))
    text = paragraphs(leaf("tool", tool.name).text)
    st.markdown(f"#### {plain(tool.title)}")
    st.markdown(plain(text[0] if text else ""))
    if len(text) > 1:
        with st.expander("How to read it, and how it misleads"):
            for part in text[1:]:
                st.markdown(_headed(part))
    options = _options(desk, tool)
    _run_row(desk, tool, options)
    _outcome(desk, tool)


def _choose(desk: Desk) -> str:
    """First the question, then one of the tools that ask it; each question keeps its last tool."""
    groups, kept = _by_question(desk), st.session_state.setdefault(key(desk, "tools"), {})
    asked, linked = key(desk, "question"), st.query_params.get("tool")
    if asked not in st.session_state:
        home = next((q for q, found in groups.items() if linked in found), next(iter(groups)))
        st.session_state[asked] = home
        kept |= {home: linked} if linked in groups[home] else {}
    question = _one_of(st.segmented_control, "Question", list(groups), asked)
    here = key(desk, "tool", question)
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
    return plain(leaf("tool", tool).title)


def _by_question(desk: Desk) -> dict[str, list[str]]:
    """The tools that fit the model, under what they ask; the predictions come first."""
    fitting = sorted(desk.tools(), key=lambda name: (name != "predict", _title(name)))
    groups = {q: [n for n in fitting if load("tool", n).asks == q] for q in get_args(Question)}
    return {question: names for question, names in groups.items() if names}


def _headed(part: str) -> str:
    head, colon, rest = part.partition(":")
    return f"**{plain(head)}.** {plain(rest.strip())}" if colon and len(head) < 24 else plain(part)


def _options(desk: Desk, tool: type[Tool]) -> dict[str, Any]:
    """The options as chosen in the form; those that come from the case file are taken from it."""
    schema = tool.Options.model_json_schema()
    given, found = _from_link(tool.name), dict[str, Any]()
    fields = {
        name: {**field, **({"default": given[name]} if name in given else {})}
        for name, field in followed(schema).items()
        if field.get("widget") not in FOREIGN[desk.card.modality]
    }

    def put(name: str) -> None:
        here, needed = key(desk, "option", tool.name, name), name in schema.get("required", ())
        if wanted(fields[name], found):
            found[name] = ask(Field(here, fields[name], desk, needed, found))

    claimed = {"claim", "family"} if "claim" in fields else set()
    drawn = [name for name, field in fields.items() if field.get("widget") == "box"]
    fine = [name for name, field in fields.items() if field.get("fine")]
    with st.grid(min_column_width=190, vertical_alignment="bottom"):
        for name in [n for n in fields if n not in {*claimed, *drawn, *fine}]:
            put(name)
    for name in drawn:
        put(name)
    if fine:
        with st.expander("Finer settings"), st.grid(min_column_width=190):
            for name in fine:
                put(name)
    if claimed:
        found |= _claimed(desk, "claim" in schema.get("required", ()))
    return found


def _claimed(desk: Desk, needed: bool) -> dict[str, Any]:
    """The claim of the case file; none where it is not complete and the tool can do without."""
    if not needed and problem(desk):
        st.caption("Your claim is not complete: this goes without it.")
        return {"family": "", "claim": {}}
    st.caption("It tests the claim that stands in your case file.")
    return {"family": case(desk)["family"] or "", "claim": claim_of(desk) or {}}


def _from_link(tool: str) -> dict[str, Any]:
    if st.query_params.get("tool") != tool:
        return {}
    try:
        given = json.loads(st.query_params.get("options", "{}"))
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _run_row(desk: Desk, tool: type[Tool], options: dict[str, Any]) -> None:
    picture = ask_picture(desk) if options.pop("picture", False) else None
    try:
        cost = _cost(desk, tool, options, picture)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    errand = st.session_state.get(key(desk, "errand"))
    busy = errand is not None and not errand.over
    with st.container(horizontal=True, vertical_alignment="center"):
        start = partial(_start, desk, tool, options, picture)
        st.button("Run", type="primary", key=key(desk, "run"), on_click=start, disabled=busy)
        st.caption(f"{cost:,} probes · {desk.left():,} left")


def _cost(desk: Desk, tool: type[Tool], options: dict[str, Any], picture: Any) -> int:
    """In probes. AuditgameError where an option is wrong, or the claim to be tested incomplete."""
    trouble = problem(desk) if options.get("family") else None
    if trouble:
        raise AuditgameError(trouble)
    return desk.price(tool.name, picture, **options)


def _start(desk: Desk, tool: type[Tool], options: dict[str, Any], picture: Any) -> None:
    def work(progress: Any) -> Any:
        return desk.use(tool.name, progress=progress, picture=picture, **options)

    link = {k: v for k, v in options.items() if k not in ("claim", "family")}
    st.query_params.update(tool=tool.name, options=json.dumps(link, separators=(",", ":")))
    errand = Errand(work, tool.title)
    st.session_state[key(desk, "errand")] = errand
    st.session_state[key(desk, "errand tool")] = tool.name
    errand.wait(QUICK_SECONDS)


def _outcome(desk: Desk, tool: type[Tool]) -> None:
    """Progress while a tool works, then what it showed; before its first use, the examples."""
    errand = st.session_state.get(key(desk, "errand"))
    whose = st.session_state.get(key(desk, "errand tool"))
    if errand is not None and not errand.over:
        st.fragment(_watch, run_every=LOOK_IN_SECONDS)(errand)
        return
    if errand is not None and errand.result is not None:
        st.session_state[key(desk, "shown", str(whose))] = errand.result
    if errand is not None and whose == tool.name and errand.error:
        st.warning(plain(errand.error))
    use = st.session_state.get(key(desk, "shown", tool.name))
    if use is None:
        bench(desk)
    pinned = {pin.ref["exhibit"] for pin in desk.pins()} if use else set()
    numbered = enumerate(use.exhibits if use else ())
    for kind, group in groupby(numbered, key=lambda pair: pair[1].kind):
        with st.grid(min_column_width=330) if kind == "heatmap" else st.container():
            for number, exhibit in group:
                _exhibit(desk, exhibit, key(desk, "exhibit", tool.name, str(number)), pinned)


def _watch(errand: Errand) -> None:
    if errand.over:
        st.rerun()
    st.progress(errand.share, text=f"{plain(errand.name)}: {plain(errand.words)}")
    st.button("Stop", on_click=errand.stop, key="stop-errand")


def _exhibit(desk: Desk, exhibit: Exhibit, name: str, pinned: set[str]) -> None:
    mark = digest(exhibit.model_dump(mode="json"))

    def pin() -> None:
        desk.pin(exhibit)
        st.rerun(["casefile", "toolbench"])

    def button() -> None:
        done = mark in pinned
        label = "Pinned" if done else "Pin as evidence"
        st.button(label, type="tertiary", on_click=pin, disabled=done, key=f"{name}/pin")

    with st.container(border=True):
        draw(exhibit, name, button)
