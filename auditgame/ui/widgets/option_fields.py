"""A form drawn from a JSON schema: one widget for each option of a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.plugins.descriptions import title
from auditgame.registry import load
from auditgame.schema.cards import Card
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.pattern_editor import ask_box, example_png
from auditgame.ui.widgets.uploads import uploaded_png

UNSET = "default"
LETTERS, GAP = 28, 4
"""Choices with no more letters than these, a gap counted for each, are drawn side by side."""


class Field(NamedTuple):
    """One field to ask for.

    key: of its value in the session. schema: its JSON schema. values: of the fields before it.
    """

    key: str
    schema: Mapping[str, Any]
    session: AuditSession
    required: bool
    values: Mapping[str, Any] = {}

    @property
    def card(self) -> Card:
        """The challenge's card."""
        return self.session.card

    @property
    def label(self) -> str:
        """The label of its widget."""
        return plain(self.schema.get("title", "value"))

    @property
    def help(self) -> str | None:
        """The text behind the question mark."""
        text = self.schema.get("description")
        return plain(text) if text else None

    def seed(self, value: Any) -> None:
        """Set the value in the session unless there is one."""
        st.session_state.setdefault(self.key, value)

    @property
    def start(self) -> Any:
        """The schema's default."""
        return self.schema.get("default")


def applies(schema: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Does a field apply, given the values of the fields before it? Its schema's `when` decides."""
    when = schema.get("when", {})
    return all(values.get(name) in allowed for name, allowed in when.items())


def resolved(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every field of a record's JSON schema, with references resolved and `or null` left out."""
    known = schema.get("$defs", {})
    return {name: _resolved(part, known) for name, part in schema.get("properties", {}).items()}


def _resolved(part: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    some = [branch for branch in part.get("anyOf", ()) if branch.get("type") != "null"]
    if len(some) == 1:
        part = {**some[0], **{k: v for k, v in part.items() if k != "anyOf"}}
    name = part.get("$ref", "").rpartition("/")[2]
    found = {**known[name], **part} if name else dict(part)
    return {**found, "items": _resolved(found["items"], known)} if "items" in found else found


class PromptNames(NamedTuple):
    """The names of the options in which a tool takes a text and the example that it comes from.

    example: None where the tool has no such option, so that only a written text counts.
    """

    text: str
    example: str | None


def prompt_names(fields: Mapping[str, Mapping[str, Any]]) -> list[PromptNames]:
    """The texts among these fields; the number of the example follows right after the text."""
    names, found = list(fields), list[PromptNames]()
    for name, after in zip(names, [*names[1:], ""], strict=True):
        if fields[name].get("widget") == "text":
            field = fields.get(after, {})
            numbered = field.get("widget") == "example" and field.get("type") == "integer"
            found.append(PromptNames(name, after if numbered else None))
    return found


def ask(field: Field) -> Any:
    """Draw the widget that fits the field, and return its value."""
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
    side_by_side = sum(len(str(option)) + GAP for option in options) <= LETTERS
    draw: Any = st.segmented_control if side_by_side else st.selectbox
    extra = {"required": True} if draw is st.segmented_control else {}
    return draw(field.label, options, key=field.key, help=field.help, format_func=_spaced, **extra)


def _spaced(option: Any) -> str:
    return str(option).replace("_", " ")


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


def _named(field: Field, names: list[str], shown: Callable[[str], str] = lambda name: name) -> str:
    """One of these names, or an empty string where the tool may choose."""
    options = names if field.required else ["", *names]
    field.seed(field.start if field.start in options else options[0])
    if st.session_state[field.key] not in options:
        st.session_state[field.key] = options[0]
    return st.selectbox(
        field.label,
        options,
        key=field.key,
        help=field.help,
        format_func=lambda name: shown(name) if name else UNSET,
    )


def _class(field: Field) -> str:
    return _named(field, list(field.card.classes))


def _site(field: Field) -> str:
    return _named(field, [site.name for site in field.card.sites])


def _family(field: Field) -> str:
    return _named(field, list(field.card.families), partial(title, "flaw"))


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
    """Several of the units that a diagnosis may name."""
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
    """A box on the uploaded picture, where there is one; else on an example.

    The schema's `on` names the field that holds the example's number.
    """
    picture = uploaded_png(field.session) if field.values.get("picture") else None
    number = int(field.values.get(field.schema.get("on", ""), 0))
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
