"""The form for a claim, drawn from its type: one widget for each field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from auditgame.exhibits.drawing import data_uri, swatch_png
from auditgame.play.audit_session import AuditSession
from auditgame.schema.claims import Claim
from auditgame.schema.graders import PALETTE
from auditgame.ui.claim.claim_lists import ask_conditions, ask_stamps
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.form_fields import EMPTY, FormField, pick
from auditgame.ui.widgets.option_fields import Field, ask, resolved
from auditgame.ui.widgets.pattern_editor import ask_box, ask_pattern, example_png, marked_example

LIMIT = 1e6
"""The bound of a number whose schema has none."""


def ask_claim(
    session: AuditSession, family: str, kind: type[Claim], values: dict[str, Any]
) -> dict[str, Any]:
    """Draw every field of the claim type, and return their values."""
    graders, schemas = kind.graders(), resolved(kind.model_json_schema())
    values = dict(values)
    for name in kind.model_fields:
        field = FormField(session, family, name, schemas[name], values)
        widget = graders[name].widget if name in graders else ""
        values[name] = WIDGETS.get(widget, _other)(field)
    return values


def _pick(field: FormField, options: list[Any]) -> Any:
    return pick(field.key, field.label, options, field.value, field.help)


def _class(field: FormField) -> str | None:
    return _pick(field, list(field.session.card.classes))


def _factor(field: FormField) -> str | None:
    return _pick(field, list(field.session.dataset.factors))


def _level(field: FormField) -> str | None:
    return _pick(field, list(field.session.dataset.factors.get(field.name, ())))


def _rule(field: FormField) -> dict[str, str]:
    factor = field.values.get("factor")
    levels = field.session.dataset.factors.get(factor or "", ())
    if not levels:
        st.caption("Choose a factor first, then the class that each of its values leads to.")
        return {}
    st.caption(f"Which {plain(factor)} leads to which class? Three correct pairs are enough.")
    classes, before, rule = list(field.session.card.classes), field.value or {}, {}
    for column, level in zip(_columns(len(levels)), levels, strict=True):
        with column:
            label = pick(f"{field.key}/{level}", level, classes, before.get(level))
        if label:
            rule[level] = label
    return rule


def _columns(count: int) -> list[Any]:
    """Two columns, taken in turn."""
    columns = st.columns(2)
    return [columns[i % 2] for i in range(count)]


def _word(field: FormField) -> str | None:
    return _pick(field, sorted(field.session.texts.words[2:]))


def _phrase(field: FormField) -> str | None:
    """Words in order; None where the field is empty."""
    name, limit = field.seed(field.value or ""), field.schema.get("maxLength")
    text: str = st.text_input(
        field.label, key=name, max_chars=limit, placeholder=EMPTY, help=field.help
    )
    words = " ".join(text.lower().split())
    unknown = [word for word in words.split() if word not in field.session.texts.words[2:]]
    if unknown:
        st.caption(f"'{plain(unknown[0])}' is not in the vocabulary.")
    return words or None


def _choice(field: FormField) -> Any:
    return _pick(field, field.schema.get("enum") or [field.schema["const"]])


def _number(field: FormField) -> float | int | None:
    """A number or None. Without a step in the schema, it is 1 for integers and 0.01 otherwise."""
    whole = field.schema.get("type") == "integer"
    kind: Callable[[Any], Any] = int if whole else float
    low, high = kind(field.schema.get("minimum", -LIMIT)), kind(field.schema.get("maximum", LIMIT))
    step = kind(field.schema.get("multipleOf", 1 if whole else 0.01))
    fits = isinstance(field.value, int | float) and low <= field.value <= high
    name = field.seed(kind(field.value) if fits else None)
    return st.number_input(
        field.label, low, high, step=step, key=name, placeholder=EMPTY, help=field.help
    )


def _colour(field: FormField) -> str | None:
    """A swatch and a name for each colour of the palette; None where none is chosen."""
    names = {code: name for name, code in field.schema.get("palette", PALETTE).items()}
    name = field.seed(field.value if field.value in names else None)
    return st.pills(
        field.label,
        list(names),
        key=name,
        wrap=True,
        format_func=lambda code: f"![]({data_uri(swatch_png([[code]]))}) {plain(names[code])}",
        help=field.help,
    )


def _box(field: FormField) -> dict[str, int] | None:
    return ask_box(field.session, field.key, field.value, marked_example(field.session))


def _pattern(field: FormField) -> list[list[str]] | None:
    number = int(st.session_state.get(key(field.session, "example"), 0) or 0)
    png = example_png(field.session, number)
    return ask_pattern(field.key, field.value, field.values.get("box"), png)


def _other(field: FormField) -> Any:
    """A field without a widget of its own, drawn from its schema as an option of a tool is."""
    field.seed(field.value)
    schema = {"title": field.label, **field.schema, "default": field.value}
    if st.session_state[field.key] is None:
        del st.session_state[field.key]
    return ask(Field(field.key, schema, field.session, required=False))


WIDGETS: dict[str, Callable[[FormField], Any]] = {
    "class": _class,
    "box": _box,
    "pattern": _pattern,
    "factor": _factor,
    "level": _level,
    "rule": _rule,
    "word": _word,
    "phrase": _phrase,
    "year": _number,
    "number": _number,
    "choice": _choice,
    "colour": _colour,
    "conditions": ask_conditions,
    "stamps": ask_stamps,
}
