"""A form drawn from a schema: one widget for each option of a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.registry import load
from auditgame.schema.cards import Card
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.pattern_editor import ask_box, example_png
from auditgame.ui.widgets.uploads import uploaded_png

UNSET = "tool's own choice"
ROOM, GAP = 28, 4
"""Choices stand side by side if no more letters than these, counting a gap for each."""


class Field(NamedTuple):
    """One field to ask for: where its value lives in the session, and what it may be.

    beside: what the fields before it hold.
    """

    key: str
    schema: Mapping[str, Any]
    session: AuditSession
    required: bool
    beside: Mapping[str, Any] = {}

    @property
    def card(self) -> Card:
        """What is known of the challenge."""
        return self.session.card

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


def wanted(schema: Mapping[str, Any], beside: Mapping[str, Any]) -> bool:
    """Does a field matter, given what the fields before it hold? Its schema's `when` says so."""
    when = schema.get("when", {})
    return all(beside.get(name) in values for name, values in when.items())


def followed(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every field of a record's JSON schema, its references followed, `or null` left out."""
    known = schema.get("$defs", {})
    return {name: _followed(part, known) for name, part in schema.get("properties", {}).items()}


def _followed(part: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    some = [branch for branch in part.get("anyOf", ()) if branch.get("type") != "null"]
    if len(some) == 1:
        part = {**some[0], **{k: v for k, v in part.items() if k != "anyOf"}}
    name = part.get("$ref", "").rpartition("/")[2]
    found = {**known[name], **part} if name else dict(part)
    return {**found, "items": _followed(found["items"], known)} if "items" in found else found


class PromptNames(NamedTuple):
    """Under which options does a tool take a text, and which example it is?

    example: None where no one example can be chosen, so that only a written text counts.
    """

    text: str
    example: str | None


def prompt_names(fields: Mapping[str, Mapping[str, Any]]) -> list[PromptNames]:
    """The texts among these fields; an example's number stands right after the text."""
    names, found = list(fields), list[PromptNames]()
    for name, after in zip(names, [*names[1:], ""], strict=True):
        if fields[name].get("widget") == "text":
            field = fields.get(after, {})
            numbered = field.get("widget") == "example" and field.get("type") == "integer"
            found.append(PromptNames(name, after if numbered else None))
    return found


def ask(field: Field) -> Any:
    """Draw the widget that fits the field, and give back its value."""
    widget = field.schema.get("widget")
    if widget == "unit" and field.schema.get("type") == "array":
        return _several(field)
    if widget in WIDGETS and field.schema.get("type") in ("string", "object"):
        return WIDGETS[widget](field)
    if "enum" in field.schema:
        return _choice(field, list(field.schema["enum"]))
    return TYPES.get(str(field.schema.get("type")), _text)(field)


def _choice(field: Field, options: list[Any]) -> Any:
    field.seed(field.start if field.start in options else options[0])
    if st.session_state[field.key] not in options:
        st.session_state[field.key] = options[0]
    side_by_side = sum(len(str(option)) + GAP for option in options) <= ROOM
    draw: Any = st.segmented_control if side_by_side else st.selectbox
    extra = {"required": True} if draw is st.segmented_control else {}
    return draw(field.label, options, key=field.key, help=field.help, **extra)


def _text(field: Field) -> str:
    field.seed(str(field.start or ""))
    limit = field.schema.get("maxLength")
    return st.text_input(field.label, key=field.key, help=field.help, max_chars=limit)


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


def _units(card: Card) -> list[str]:
    return [
        f"{site.name}:{index}"
        for site in card.sites
        if site.kind in ("channel", "head", "neuron")
        for index in range(site.units)
    ]


def _unit(field: Field) -> str:
    return _named(field, _units(field.card))


def _several(field: Field) -> list[str]:
    """Several units, as a mechanism may name them."""
    from auditgame.evaluation.mechanism import allowed_sites, allowed_units

    specimen = field.session.specimen
    options, most = allowed_units(specimen, allowed_sites(specimen)), field.schema.get("maxItems")
    field.seed([unit for unit in field.start or () if unit in options])
    return st.multiselect(field.label, options, key=field.key, help=field.help, max_selections=most)


def _factor(field: Field) -> str:
    return _named(field, list(load("dataset", field.card.dataset).factors))


def _level(field: Field) -> str:
    factors = load("dataset", field.card.dataset).factors
    return _named(
        field, [f"{name}: {level}" for name, levels in factors.items() for level in levels]
    )


def _box(field: Field) -> dict[str, int]:
    """On the picture that is uploaded, where one is asked for; else on an example.

    The schema's `on` names the field that holds the example's number.
    """
    picture = uploaded_png(field.session) if field.beside.get("picture") else None
    number = int(field.beside.get(field.schema.get("on", ""), 0))
    picture = picture or example_png(field.session, number)
    return ask_box(field.session, field.key, field.start, picture) or field.start


WIDGETS: dict[str, Callable[[Field], Any]] = {
    "class": _class,
    "site": _site,
    "unit": _unit,
    "family": _family,
    "factor": _factor,
    "level": _level,
    "box": _box,
}
TYPES: dict[str, Callable[[Field], Any]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _switch,
}
