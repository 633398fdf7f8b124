"""The form for the particulars of a flaw, drawn from its claim type: one widget per field."""

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
from auditgame.ui.widgets.form_fields import UNSAID, FormField, pick
from auditgame.ui.widgets.option_fields import Field, ask, followed
from auditgame.ui.widgets.pattern_editor import ask_box, ask_pattern, example_png, marked_example

MOST = 1e6
"""A number whose schema has no bounds lies within this."""


def ask_claim(
    session: AuditSession, family: str, kind: type[Claim], said: dict[str, Any]
) -> dict[str, Any]:
    """Draw every field of the claim type, and give back what they hold."""
    graders, schemas = kind.graders(), followed(kind.model_json_schema())
    found = dict(said)
    for name in kind.model_fields:
        blank = FormField(session, family, name, schemas[name], found)
        widget = graders[name].widget if name in graders else ""
        found[name] = WIDGETS.get(widget, _other)(blank)
    return found


def _class(blank: FormField) -> str | None:
    return pick(blank.key, blank.label, list(blank.session.card.classes), blank.value)


def _factor(blank: FormField) -> str | None:
    return pick(blank.key, blank.label, list(blank.session.dataset.factors), blank.value)


def _level(blank: FormField) -> str | None:
    levels = blank.session.dataset.factors.get(blank.name, ())
    return pick(blank.key, blank.label, list(levels), blank.value)


def _rule(blank: FormField) -> dict[str, str]:
    factor = blank.said.get("factor")
    levels = blank.session.dataset.factors.get(factor or "", ())
    if not levels:
        st.caption("Choose a factor first; then say which level leads to which answer.")
        return {}
    st.caption(f"Which {plain(factor)} leads to which answer? Three right pairs are enough.")
    classes, before, rule = list(blank.session.card.classes), blank.value or {}, {}
    for slot, level in zip(_slots(len(levels)), levels, strict=True):
        with slot:
            answer = pick(f"{blank.key}/{level}", level, classes, before.get(level))
        if answer:
            rule[level] = answer
    return rule


def _slots(count: int) -> list[Any]:
    columns = st.columns(2)
    return [columns[i % 2] for i in range(count)]


def _word(blank: FormField) -> str | None:
    return pick(blank.key, blank.label, sorted(blank.session.dataset.words[2:]), blank.value)


def _phrase(blank: FormField) -> str | None:
    """Words to be written, one after the other; empty where it is not said."""
    here, limit = blank.seed(blank.value or ""), blank.schema.get("maxLength")
    said: str = st.text_input(blank.label, key=here, max_chars=limit, placeholder=UNSAID)
    words = " ".join(said.lower().split())
    unknown = [word for word in words.split() if word not in blank.session.dataset.words[2:]]
    if unknown:
        st.caption(f"'{plain(unknown[0])}' is no word of these texts.")
    return words or None


def _choice(blank: FormField) -> Any:
    options = blank.schema.get("enum") or [blank.schema["const"]]
    return pick(blank.key, blank.label, options, blank.value)


def _number(blank: FormField) -> float | int | None:
    """Empty where it is not said. A step the schema does not tell is 1, or 0.01 if not whole."""
    whole = blank.schema.get("type") == "integer"
    kind: Callable[[Any], Any] = int if whole else float
    low, high = kind(blank.schema.get("minimum", -MOST)), kind(blank.schema.get("maximum", MOST))
    step = kind(blank.schema.get("multipleOf", 1 if whole else 0.01))
    fits = isinstance(blank.value, int | float) and low <= blank.value <= high
    here = blank.seed(kind(blank.value) if fits else None)
    return st.number_input(blank.label, low, high, step=step, key=here, placeholder=UNSAID)


def _colour(blank: FormField) -> str | None:
    """A swatch and a name for each colour of the palette; none of them where it is not said."""
    names = {code: name for name, code in blank.schema.get("palette", PALETTE).items()}
    here = blank.seed(blank.value if blank.value in names else None)
    return st.pills(
        blank.label,
        list(names),
        key=here,
        wrap=True,
        format_func=lambda code: f"![]({data_uri(swatch_png([[code]]))}) {plain(names[code])}",
    )


def _box(blank: FormField) -> dict[str, int] | None:
    return ask_box(blank.session, blank.key, blank.value, marked_example(blank.session))


def _pattern(blank: FormField) -> list[list[str]] | None:
    number = int(st.session_state.get(key(blank.session, "example"), 0) or 0)
    png = example_png(blank.session, number)
    return ask_pattern(blank.key, blank.value, blank.said.get("box"), png)


def _other(blank: FormField) -> Any:
    blank.seed(blank.value)
    schema = {"title": blank.label, **blank.schema, "default": blank.value}
    if st.session_state[blank.key] is None:
        del st.session_state[blank.key]
    return ask(Field(blank.key, schema, blank.session, required=False))


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
