"""A tool's options as a form: its texts first, then the other options, drawn from the schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.tools import Tool
from auditgame.ui.draft import claim_of, key, problem, read_draft
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.option_fields import (
    Field,
    PromptNames,
    applies,
    ask,
    prompt_names,
    resolved,
)
from auditgame.ui.workbench.text_editor import edit
from auditgame.ui.workbench.text_state import SLOTS, TextState

OTHER_MODALITY = {"image": {"text"}, "text": {"picture"}}
"""Widgets that are left out, by the modality of the model."""
Fields = dict[str, dict[str, Any]]
Options = dict[str, Any]


def ask_options(session: AuditSession, tool: type[Tool]) -> list[Options]:
    """The chosen options: of one run, or of two where two texts are compared.

    Empty while a text cannot be read.
    """
    schema, linked = tool.Options.model_json_schema(), _from_link(tool.name)
    fields = {
        name: {**field, **({"default": linked[name]} if name in linked else {})}
        for name, field in resolved(schema).items()
        if field.get("widget") not in OTHER_MODALITY[session.card.modality]
    }
    texts = _texts(session, tool.name, fields)
    required = schema.get("required", ())
    options = _other_options(session, tool.name, _without_texts(fields, texts), required)
    return [{**options, **text} for text in texts]


def _from_link(tool: str) -> Options:
    """The options in the page's address, where they are for this tool."""
    if st.query_params.get("tool") != tool:
        return {}
    try:
        linked = json.loads(st.query_params.get("options", "{}"))
    except ValueError:
        return {}
    return linked if isinstance(linked, dict) else {}


# ------------------------------------------------------------------------- texts


def _texts(session: AuditSession, tool: str, fields: Fields) -> list[Options]:
    """The options that hold texts: of one run, of two, or of none where one cannot be read."""
    pairs = prompt_names(fields)
    shown = [names for names in pairs if names.example or _own_text(session, tool, fields, names)]
    empty = {names.text: "" for names in pairs if names not in shown}
    if not shown:
        return [empty]
    compared = len(pairs) == 1 and _compare(session)
    slots = zip(SLOTS, shown * (1 + compared), strict=False)
    texts = [TextState(session, slot) for slot, _ in slots]
    _start(texts, shown, fields)
    titles = [str(fields[names.text].get("title", "")) for names in shown] * len(texts)
    readable = _edit(texts, ["Left", "Right"] if compared else titles)
    names = shown * len(texts)
    options = [text.options(pair) for text, pair in zip(texts, names, strict=False)]
    if not readable:
        return []
    return options if compared else [{**empty, **{k: v for o in options for k, v in o.items()}}]


def _own_text(session: AuditSession, tool: str, fields: Fields, names: PromptNames) -> bool:
    """For a tool that finds texts by itself: should it take one from the player?"""
    field, name = fields[names.text], key(session, "option", tool, f"own {names.text}")
    st.session_state.setdefault(name, bool(field.get("default")))
    label = plain(f"{field.get('title', names.text)}, word by word")
    return st.toggle(label, key=name, help=plain(field.get("description", "")))


def _start(texts: list[TextState], shown: list[PromptNames], fields: Fields) -> None:
    """Begin with the text of a link or of the tool's defaults; a second text begins as a copy."""
    for text, names in zip(texts, shown, strict=False):
        written = fields[names.text].get("default")
        number = fields[names.example].get("default") if names.example else None
        if written or names.example:
            start = written if isinstance(written, str) else ""
            text.start(start, number if type(number) is int else 0)
    for text in texts:
        text.start(texts[0].text, texts[0].number)


def _compare(session: AuditSession) -> bool:
    return st.toggle(
        "Two texts side by side",
        key=key(session, "beside"),
        help="Runs on both texts. Each run costs its queries.",
    )


def _edit(texts: list[TextState], titles: list[str]) -> bool:
    """Draw one text, or two side by side. Can all be read?"""
    if len(texts) == 1:
        return edit(texts[0])
    with st.grid(min_column_width=300):
        readable = [edit(*pair) for pair in zip(texts, titles, strict=False)]
    return all(readable)


def _without_texts(fields: Fields, texts: list[Options]) -> Fields:
    """The remaining fields; with one text given, those for several examples are left out."""
    given = {name for options in texts for name in options}
    names = {name for pair in prompt_names(fields) for name in pair}
    one = any(options.get(pair.text) for options in texts for pair in prompt_names(fields))
    several = {name for name, field in fields.items() if one and field.get("widget") == "example"}
    left_out = given | names | several
    return {name: field for name, field in fields.items() if name not in left_out}


# ------------------------------------------------------------------------ others


def _other_options(
    session: AuditSession, tool: str, fields: Fields, required: Collection[str]
) -> Options:
    """The options from their fields; a claim is taken from the player's diagnosis."""
    options = Options()

    def put(name: str) -> None:
        widget = key(session, "option", tool, name)
        if applies(fields[name], options):
            field = Field(widget, fields[name], session, name in required, options)
            options[name] = ask(field)

    claimed = {"claim", "family"} if "claim" in fields else set()
    boxes = [name for name, field in fields.items() if field.get("widget") == "box"]
    advanced = [name for name, field in fields.items() if field.get("fine")]
    with st.grid(min_column_width=190, vertical_alignment="bottom"):
        for name in [n for n in fields if n not in {*claimed, *boxes, *advanced}]:
            put(name)
    for name in boxes:
        put(name)
    if advanced:
        with st.expander("Advanced settings"), st.grid(min_column_width=190):
            for name in advanced:
                put(name)
    if claimed:
        options |= _claim(session, "claim" in required)
    return options


def _claim(session: AuditSession, required: bool) -> Options:
    """The claim of the diagnosis; none where it is not complete and the tool works without."""
    if not required and problem(session):
        st.caption("Your claim is not complete, so the tool runs without it.")
        return {"family": "", "claim": {}}
    st.caption("The tool uses the claim in your diagnosis.")
    return {"family": read_draft(session)["family"] or "", "claim": claim_of(session) or {}}
