"""The form for the particulars of a flaw, drawn from its claim type: one widget per field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st

from auditgame.claims import Claim
from auditgame.desk import Desk
from auditgame.ui.boxes import ask_box, ask_pattern
from auditgame.ui.case import key
from auditgame.ui.fields import Field, ask
from auditgame.ui.words import plain, tidy

UNSAID = "not said"


class Blank(NamedTuple):
    """One field of a claim to fill in."""

    desk: Desk
    family: str
    name: str
    schema: dict[str, Any]
    said: dict[str, Any]

    @property
    def key(self) -> str:
        """Where its value lives in the session."""
        return key(self.desk, "claim", self.family, self.name)

    @property
    def label(self) -> str:
        """What stands over it."""
        return tidy(self.name)

    def seed(self, value: Any, name: str = "") -> str:
        """Start from this value unless the session has one; the key it lives under."""
        here = f"{self.key}/{name}" if name else self.key
        st.session_state.setdefault(here, value)
        return here


def ask_claim(desk: Desk, family: str, kind: type[Claim], said: dict[str, Any]) -> dict[str, Any]:
    """Draw every field of the claim type, and give back what they hold."""
    graders, schemas = kind.graders(), kind.model_json_schema()["properties"]
    found = dict(said)
    for name in kind.model_fields:
        blank = Blank(desk, family, name, schemas[name], found)
        widget = graders[name].widget if name in graders else ""
        found[name] = WIDGETS.get(widget, _other)(blank)
    return found


def _pick(blank: Blank, options: list[str], name: str = "", label: str = "") -> str | None:
    before = blank.said.get(blank.name)
    before = before.get(name) if isinstance(before, dict) else before
    here = blank.seed(before if before in options else None, name)
    if st.session_state[here] not in options:
        st.session_state[here] = None
    shown = plain(label) or blank.label
    return st.selectbox(shown, options, index=None, key=here, placeholder=UNSAID)


def _class(blank: Blank) -> str | None:
    return _pick(blank, list(blank.desk.card.classes))


def _factor(blank: Blank) -> str | None:
    return _pick(blank, list(blank.desk.dataset.factors))


def _rule(blank: Blank) -> dict[str, str]:
    factor = blank.said.get("factor")
    levels = blank.desk.dataset.factors.get(factor or "", ())
    if not levels:
        st.caption("Choose a factor first; then say which level leads to which answer.")
        return {}
    st.caption(f"Which {plain(factor)} leads to which answer? Three right pairs are enough.")
    classes, rule = list(blank.desk.card.classes), {}
    for slot, level in zip(_slots(len(levels)), levels, strict=True):
        with slot:
            answer = _pick(blank, classes, level, level)
        if answer:
            rule[level] = answer
    return rule


def _slots(count: int) -> list[Any]:
    columns = st.columns(2)
    return [columns[i % 2] for i in range(count)]


def _word(blank: Blank) -> str | None:
    return _pick(blank, sorted(blank.desk.dataset.words[2:]))


def _year(blank: Blank) -> int | None:
    here = blank.seed(blank.said.get(blank.name))
    return st.number_input(blank.label, 1000, 9999, step=1, key=here, placeholder=UNSAID)


def _box(blank: Blank) -> dict[str, int] | None:
    return ask_box(blank.desk, blank.key, blank.said.get(blank.name))


def _pattern(blank: Blank) -> list[list[str]] | None:
    return ask_pattern(blank.desk, blank.key, blank.said.get(blank.name))


def _other(blank: Blank) -> Any:
    blank.seed(blank.said.get(blank.name, blank.schema.get("default")))
    schema = {"title": blank.label, **blank.schema, "default": blank.said.get(blank.name)}
    if st.session_state[blank.key] is None:
        del st.session_state[blank.key]
    return ask(Field(blank.key, schema, blank.desk.card, required=False))


WIDGETS: dict[str, Callable[[Blank], Any]] = {
    "class": _class,
    "box": _box,
    "pattern": _pattern,
    "factor": _factor,
    "rule": _rule,
    "word": _word,
    "year": _year,
}
