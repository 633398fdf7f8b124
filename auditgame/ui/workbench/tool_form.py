"""A tool's options as a form: its texts first, then the rest, drawn from the schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.tools import Tool
from auditgame.ui.draft import case, claim_of, key, problem
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.option_fields import (
    Field,
    PromptNames,
    ask,
    followed,
    prompt_names,
    wanted,
)
from auditgame.ui.workbench.text_editor import edit
from auditgame.ui.workbench.text_state import SLOTS, TextState

FOREIGN = {"image": {"text"}, "text": {"picture"}}
"""What is not asked of a model that reads the other kind of input."""
Fields = dict[str, dict[str, Any]]
Options = dict[str, Any]


def ask_options(session: AuditSession, tool: type[Tool]) -> list[Options]:
    """The options as chosen in the form: of one use, or of two where texts stand side by side.

    None at all while a text cannot be read.
    """
    schema, given = tool.Options.model_json_schema(), _from_link(tool.name)
    fields = {
        name: {**field, **({"default": given[name]} if name in given else {})}
        for name, field in followed(schema).items()
        if field.get("widget") not in FOREIGN[session.card.modality]
    }
    texts = _texts(session, tool.name, fields)
    found = _others(session, tool.name, _besides_texts(fields, texts), schema.get("required", ()))
    return [{**found, **options} for options in texts]


def _from_link(tool: str) -> Options:
    if st.query_params.get("tool") != tool:
        return {}
    try:
        given = json.loads(st.query_params.get("options", "{}"))
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


# ------------------------------------------------------------------------- texts


def _texts(session: AuditSession, tool: str, fields: Fields) -> list[Options]:
    """The options that hold texts: of one use, of two, or of none where one cannot be read."""
    pairs = prompt_names(fields)
    shown = [names for names in pairs if names.example or _of_mine(session, tool, fields, names)]
    blank = {names.text: "" for names in pairs if names not in shown}
    if not shown:
        return [blank]
    twice = len(pairs) == 1 and _side_by_side(session)
    sheets = [TextState(session, slot) for slot, _ in zip(SLOTS, shown * (1 + twice), strict=False)]
    _start(sheets, shown, fields)
    titles = [str(fields[names.text].get("title", "")) for names in shown] * len(sheets)
    fine = _edit(sheets, ["Left", "Right"] if twice else titles)
    told = [s.options(names) for s, names in zip(sheets, shown * len(sheets), strict=False)]
    if not fine:
        return []
    return told if twice else [{**blank, **{k: v for part in told for k, v in part.items()}}]


def _of_mine(session: AuditSession, tool: str, fields: Fields, names: PromptNames) -> bool:
    """Where a tool finds texts by itself: should it take one that is given?"""
    field, here = fields[names.text], key(session, "option", tool, f"{names.text} of mine")
    st.session_state.setdefault(here, bool(field.get("default")))
    label = plain(f"{field.get('title', names.text)}, word by word")
    return st.toggle(label, key=here, help=plain(field.get("description", "")))


def _start(sheets: list[TextState], shown: list[PromptNames], fields: Fields) -> None:
    """Begin with what a link says, or else with the tool's defaults; a second text as a copy."""
    for sheet, names in zip(sheets, shown, strict=False):
        text = fields[names.text].get("default")
        number = fields[names.example].get("default") if names.example else None
        if text or names.example:
            said = text if isinstance(text, str) else ""
            sheet.start(said, number if type(number) is int else 0)
    for sheet in sheets:
        sheet.start(sheets[0].text, sheets[0].number)


def _side_by_side(session: AuditSession) -> bool:
    return st.toggle(
        "Two texts side by side",
        key=key(session, "beside"),
        help="The same question is put of two texts: two uses of the tool.",
    )


def _edit(sheets: list[TextState], titles: list[str]) -> bool:
    """Draw one text, or two beside each other. Can all be read?"""
    if len(sheets) == 1:
        return edit(sheets[0])
    with st.grid(min_column_width=300):
        fine = [edit(*pair) for pair in zip(sheets, titles, strict=False)]
    return all(fine)


def _besides_texts(fields: Fields, texts: list[Options]) -> Fields:
    """The fields still to be asked for; where one text is asked about, no numbers of many."""
    told = {name for options in texts for name in options}
    names = {name for pair in prompt_names(fields) for name in pair}
    one = any(options.get(pair.text) for options in texts for pair in prompt_names(fields))
    many = {name for name, field in fields.items() if one and field.get("widget") == "example"}
    return {name: field for name, field in fields.items() if name not in told | names | many}


# ------------------------------------------------------------------------ others


def _others(session: AuditSession, tool: str, fields: Fields, needed: Collection[str]) -> Options:
    """What is asked for in fields; what comes from the case file is taken from it."""
    found = Options()

    def put(name: str) -> None:
        here = key(session, "option", tool, name)
        if wanted(fields[name], found):
            found[name] = ask(Field(here, fields[name], session, name in needed, found))

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
        found |= _claimed(session, "claim" in needed)
    return found


def _claimed(session: AuditSession, needed: bool) -> Options:
    """The claim of the case file; none where it is not complete and the tool can do without."""
    if not needed and problem(session):
        st.caption("Your claim is not complete: this goes without it.")
        return {"family": "", "claim": {}}
    st.caption("It tests the claim that stands in your case file.")
    return {"family": case(session)["family"] or "", "claim": claim_of(session) or {}}
