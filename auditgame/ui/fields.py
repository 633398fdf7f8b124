"""A form drawn from a schema: one widget for each option of a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import streamlit as st

from auditgame.types import Card
from auditgame.ui.words import plain

UNSET = "tool's own choice"


class Field(NamedTuple):
    """One field to ask for: where its value lives in the session, and what it may be."""

    key: str
    schema: Mapping[str, Any]
    card: Card
    required: bool

    @property
    def label(self) -> str:
        """What stands over the widget."""
        return plain(self.schema.get("title", "value"))

    @property
    def help(self) -> str | None:
        """What the question mark tells."""
        text = self.schema.get("description")
        return plain(text) if text else None

    def seed(self, value: Any) -> None:
        """Start from this value unless the session has one already."""
        st.session_state.setdefault(self.key, value)

    @property
    def start(self) -> Any:
        """The schema's default."""
        return self.schema.get("default")


def ask(field: Field) -> Any:
    """Draw the widget that fits the field, and give back its value."""
    widget = field.schema.get("widget")
    if widget in WIDGETS and field.schema.get("type") == "string":
        return WIDGETS[widget](field)
    if "enum" in field.schema:
        return _choice(field, list(field.schema["enum"]))
    return TYPES.get(str(field.schema.get("type")), _text)(field)


def _choice(field: Field, options: list[Any]) -> Any:
    field.seed(field.start if field.start in options else options[0])
    if st.session_state[field.key] not in options:
        st.session_state[field.key] = options[0]
    draw: Any = st.segmented_control if len(options) <= 4 else st.selectbox
    extra = {"required": True} if draw is st.segmented_control else {}
    return draw(field.label, options, key=field.key, help=field.help, **extra)


def _text(field: Field) -> str:
    field.seed(str(field.start or ""))
    limit = field.schema.get("maxLength")
    return st.text_input(field.label, key=field.key, help=field.help, max_chars=limit)


def _long_text(field: Field) -> str:
    field.seed(str(field.start or ""))
    limit = field.schema.get("maxLength")
    return st.text_area(field.label, key=field.key, help=field.help, max_chars=limit, height=80)


def _number(field: Field) -> float | int:
    whole = field.schema.get("type") == "integer"
    kind = int if whole else float
    low, high = field.schema.get("minimum"), field.schema.get("maximum")
    field.seed(kind(field.start if field.start is not None else low or 0))
    bounds: dict[str, Any] = {
        "min_value": None if low is None else kind(low),
        "max_value": None if high is None else kind(high),
        "step": 1 if whole else None,
    }
    return st.number_input(field.label, key=field.key, help=field.help, **bounds)


def _switch(field: Field) -> bool:
    field.seed(bool(field.start))
    return st.toggle(field.label, key=field.key, help=field.help)


def _named(field: Field, names: list[str]) -> str:
    options = names if field.required else ["", *names]
    field.seed(field.start if field.start in options else options[0])
    if st.session_state[field.key] not in options:
        st.session_state[field.key] = options[0]
    return st.selectbox(field.label, options, key=field.key, help=field.help, format_func=_shown)


def _shown(name: str) -> str:
    return name or UNSET


def _class(field: Field) -> str:
    return _named(field, list(field.card.classes))


def _site(field: Field) -> str:
    return _named(field, [site.name for site in field.card.sites])


def _family(field: Field) -> str:
    return _named(field, list(field.card.families))


def _unit(field: Field) -> str:
    units = [
        f"{site.name}:{index}"
        for site in field.card.sites
        if site.kind in ("channel", "head", "neuron")
        for index in range(site.units)
    ]
    return _named(field, units)


WIDGETS: dict[str, Callable[[Field], str]] = {
    "class": _class,
    "site": _site,
    "unit": _unit,
    "family": _family,
    "text": _long_text,
}
TYPES: dict[str, Callable[[Field], Any]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _switch,
}
