"""Fields of a claim that hold several things, added and removed one by one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from auditgame.exhibits.drawing import data_uri, swatch_png
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.form_fields import FormField, pick
from auditgame.ui.widgets.pattern_editor import ask_box, ask_pattern, marked_example


class Rows:
    """Things of one field in the session, each under a number that no other ever had."""

    def __init__(self, blank: FormField, start: list[dict[str, Any]], most: int) -> None:
        self._here = blank.seed(dict(enumerate(start or [{}])), "rows")
        self.most = most

    @property
    def things(self) -> dict[int, dict[str, Any]]:
        """Number -> what was said of the thing."""
        return st.session_state[self._here]

    @property
    def full(self) -> bool:
        """Are there as many as there may be?"""
        return len(self.things) >= self.most

    def key(self, number: int, name: str) -> str:
        """Where a widget of this thing lives in the session."""
        return f"{self._here}/{number}/{name}"

    def add(self) -> None:
        """One more, with nothing said, under the next number."""
        st.session_state[self._here] = {**self.things, max(self.things) + 1: {}}

    def remove(self, number: int) -> None:
        """Take this one away; where it is the last, an empty one takes its place."""
        rest = {k: thing for k, thing in self.things.items() if k != number}
        st.session_state[self._here] = rest or {number + 1: {}}


# --------------------------------------------------------------- conditions


def ask_conditions(blank: FormField) -> dict[str, str]:
    """Which levels of which factors must hold together? Factor -> level."""
    before = [{"factor": k, "level": v} for k, v in (blank.value or {}).items()]
    rows = Rows(blank, before, int(blank.schema.get("maxProperties", 3)))
    st.markdown(f":small[{plain(blank.label)}, all of which must hold]")
    for number in list(rows.things):
        _condition(blank, rows, number)
    st.button("Add a condition", key=f"{blank.key}/add", on_click=rows.add, disabled=rows.full)
    complete = [thing for thing in rows.things.values() if len(thing) == 2]
    return {thing["factor"]: thing["level"] for thing in complete}


def _condition(blank: FormField, rows: Rows, number: int) -> None:
    factors, thing = blank.session.dataset.factors, rows.things[number]
    taken = {other.get("factor") for k, other in rows.things.items() if k != number}
    left, middle, right = st.columns([6, 6, 2], vertical_alignment="bottom")
    with left:
        free = [name for name in factors if name not in taken]
        factor = pick(rows.key(number, "factor"), "Factor", free, thing.get("factor"))
    with middle:
        levels = factors.get(factor, ())
        level = pick(rows.key(number, f"level of {factor}"), "Level", levels, thing.get("level"))
    name, help = rows.key(number, "remove"), "Remove this condition"
    right.button("×", key=name, on_click=rows.remove, args=(number,), type="tertiary", help=help)
    rows.things[number] = _spoken(factor=factor, level=level)


def _spoken(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not None}


# ------------------------------------------------------------------- stamps


def ask_stamps(blank: FormField) -> list[dict[str, Any]]:
    """Several patterns, each in its box, some with a class of their own.

    One of them is in hand at a time: what is dragged and cropped is said of that one. Empty
    ones behind the last are left out; one before it keeps its place, so that the numbers hold.
    """
    rows = Rows(blank, list(blank.value or []), int(blank.schema.get("maxItems", 6)))
    number = _in_hand(blank, rows)
    thing, png = rows.things[number], marked_example(blank.session)
    others = [other["box"] for k, other in rows.things.items() if k != number and "box" in other]
    box = ask_box(blank.session, rows.key(number, "box"), thing.get("box"), png, others)
    pattern = ask_pattern(rows.key(number, "pattern"), thing.get("pattern"), box, png)
    target = None
    if "target" in blank.schema.get("items", {}).get("properties", {}):
        classes = blank.session.card.classes
        target = pick(rows.key(number, "target"), "Its target", classes, thing.get("target"))
    rows.things[number] = _spoken(box=box, pattern=pattern, target=target)
    said = [place for place, thing in enumerate(rows.things.values(), 1) if thing]
    return list(rows.things.values())[: max(said, default=0)]


def _in_hand(blank: FormField, rows: Rows) -> int:
    """Which stamp is worked on? With buttons to add one and to take this one away."""
    labels = {
        number: f"{_swatch(thing.get('pattern'))}{place}"
        for place, (number, thing) in enumerate(rows.things.items(), 1)
    }
    here = f"{blank.key}/in hand"
    if st.session_state.get(here) not in labels:
        st.session_state[here] = next(iter(labels))

    def more() -> None:
        rows.add()
        st.session_state[here] = max(rows.things)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            blank.label, list(labels), key=here, required=True, format_func=labels.__getitem__
        )
        st.button("Add a stamp", key=f"{blank.key}/add", on_click=more, disabled=rows.full)
        number: int = st.session_state[here]
        name = f"{blank.key}/remove"
        st.button("Remove", key=name, on_click=rows.remove, args=(number,), type="tertiary")
    return number


def _swatch(pattern: list[list[str]] | None) -> str:
    """A pattern as a small picture in a label; empty where there is none yet."""
    return f"![]({data_uri(swatch_png(pattern))}) " if pattern else ""
