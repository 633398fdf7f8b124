"""Fields of a claim that hold several items, added and removed one by one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from auditgame.exhibits.drawing import data_uri, swatch_png
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.form_fields import FormField, pick
from auditgame.ui.widgets.pattern_editor import ask_box, ask_pattern, marked_example


class Rows:
    """The items of one field in the session, each under a number that is never used again."""

    def __init__(self, field: FormField, start: list[dict[str, Any]], limit: int) -> None:
        self._name = field.seed(dict(enumerate(start or [{}])), "rows")
        self.limit = limit

    @property
    def items(self) -> dict[int, dict[str, Any]]:
        """Number -> the fields of the item that are filled in."""
        return st.session_state[self._name]

    @property
    def full(self) -> bool:
        """Is the limit reached?"""
        return len(self.items) >= self.limit

    def key(self, number: int, name: str) -> str:
        """The session key of a widget of this item."""
        return f"{self._name}/{number}/{name}"

    def add(self) -> None:
        """Append an empty item under the next number."""
        st.session_state[self._name] = {**self.items, max(self.items) + 1: {}}

    def remove(self, number: int) -> None:
        """Remove this item; an empty one replaces the last."""
        rest = {k: item for k, item in self.items.items() if k != number}
        st.session_state[self._name] = rest or {number + 1: {}}


# --------------------------------------------------------------- conditions


def ask_conditions(field: FormField) -> dict[str, str]:
    """Conditions that must all hold: factor -> level."""
    before = [{"factor": k, "level": v} for k, v in (field.value or {}).items()]
    rows = Rows(field, before, int(field.schema.get("maxProperties", 3)))
    st.markdown(f":small[{plain(field.label)}, all of which must hold]")
    for number in list(rows.items):
        _condition(field, rows, number)
    st.button("Add a condition", key=f"{field.key}/add", on_click=rows.add, disabled=rows.full)
    complete = [item for item in rows.items.values() if len(item) == 2]
    return {item["factor"]: item["level"] for item in complete}


def _condition(field: FormField, rows: Rows, number: int) -> None:
    factors, item = field.session.dataset.factors, rows.items[number]
    taken = {other.get("factor") for k, other in rows.items.items() if k != number}
    left, middle, right = st.columns([6, 6, 2], vertical_alignment="bottom")
    with left:
        free = [name for name in factors if name not in taken]
        factor = pick(rows.key(number, "factor"), "Factor", free, item.get("factor"))
    with middle:
        levels = factors.get(factor, ())
        level = pick(rows.key(number, f"level of {factor}"), "Level", levels, item.get("level"))
    name, help = rows.key(number, "remove"), "Remove this condition"
    right.button("×", key=name, on_click=rows.remove, args=(number,), type="tertiary", help=help)
    rows.items[number] = _filled(factor=factor, level=level)


def _filled(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not None}


# ------------------------------------------------------------------- stamps


def ask_stamps(field: FormField) -> list[dict[str, Any]]:
    """Several patterns, each with its box and, in some families, a target of its own.

    One is selected at a time: the box and the crop belong to it. Empty items at the end are left
    out; an empty one before another stays, so that the numbers hold.
    """
    rows = Rows(field, list(field.value or []), int(field.schema.get("maxItems", 6)))
    number = _selected(field, rows)
    item, png = rows.items[number], marked_example(field.session)
    others = [other["box"] for k, other in rows.items.items() if k != number and "box" in other]
    box = ask_box(field.session, rows.key(number, "box"), item.get("box"), png, others)
    pattern = ask_pattern(rows.key(number, "pattern"), item.get("pattern"), box, png)
    target = None
    if "target" in field.schema.get("items", {}).get("properties", {}):
        classes = field.session.card.classes
        target = pick(rows.key(number, "target"), "Its target", classes, item.get("target"))
    rows.items[number] = _filled(box=box, pattern=pattern, target=target)
    filled = [count for count, item in enumerate(rows.items.values(), 1) if item]
    return list(rows.items.values())[: max(filled, default=0)]


def _selected(field: FormField, rows: Rows) -> int:
    """The number of the selected stamp; with buttons to add one and to remove this one."""
    labels = {
        number: f"{_swatch(item.get('pattern'))}{count}"
        for count, (number, item) in enumerate(rows.items.items(), 1)
    }
    name = f"{field.key}/selected"
    if st.session_state.get(name) not in labels:
        st.session_state[name] = next(iter(labels))

    def add() -> None:
        rows.add()
        st.session_state[name] = max(rows.items)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            field.label,
            list(labels),
            key=name,
            required=True,
            format_func=labels.__getitem__,
            help=field.help,
        )
        st.button("Add a stamp", key=f"{field.key}/add", on_click=add, disabled=rows.full)
        number: int = st.session_state[name]
        remove = f"{field.key}/remove"
        st.button("Remove", key=remove, on_click=rows.remove, args=(number,), type="tertiary")
    return number


def _swatch(pattern: list[list[str]] | None) -> str:
    """A pattern as a small picture in a label; empty where there is none yet."""
    return f"![]({data_uri(swatch_png(pattern))}) " if pattern else ""
