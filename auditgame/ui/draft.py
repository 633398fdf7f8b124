"""A player's diagnosis while it is being written: kept in the session, saved as a draft."""

from __future__ import annotations

import copy
from typing import Any

import streamlit as st
from pydantic import ValidationError

from auditgame.play.audit_session import AuditSession
from auditgame.registry import load
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import explain

EMPTY: dict[str, Any] = {
    "percent": 50,
    "family": None,
    "claims": {},
    "units": [],
    "hypothesis": "",
    "notes": "",
}


def key(session: AuditSession, *parts: str) -> str:
    """The key under which Streamlit's session keeps something of this challenge."""
    return "/".join([session.card.id, *parts])


def read_draft(session: AuditSession) -> dict[str, Any]:
    """The current draft: from this browser session, or else from the ledger."""
    name = key(session, "draft")
    if name not in st.session_state:
        saved = session.draft() or {}
        st.session_state[name] = {k: saved.get(k, copy.deepcopy(v)) for k, v in EMPTY.items()}
    return st.session_state[name]


def update(session: AuditSession, **changes: Any) -> None:
    """Change fields of the draft, and save it where any value is new."""
    draft = read_draft(session)
    if any(draft[name] != value for name, value in changes.items()):
        draft.update(copy.deepcopy(changes))
        session.save_draft(draft)


def claim_of(session: AuditSession) -> dict[str, Any] | None:
    """The claim for the chosen family, empty fields left out; None where the family has none."""
    draft = read_draft(session)
    family = draft["family"]
    if family not in session.card.families or load("flaw", family).Claim is None:
        return None
    values = draft["claims"].get(family, {})
    return {k: v for k, v in values.items() if v not in (None, "", {}, [])}


def problem(session: AuditSession) -> str | None:
    """What is missing or wrong in the claim? None where it can be tested."""
    claim = claim_of(session)
    if claim is None:
        return None
    from auditgame.evaluation.claim_parsing import claim_type

    try:
        claim_type(read_draft(session)["family"]).model_validate(claim).check(session.dataset)
    except ValidationError as error:
        missing = [_field(fault["loc"]) for fault in error.errors() if fault["type"] == "missing"]
        return f"Still missing: {', '.join(missing)}." if missing else str(explain(error, "claim"))
    except AuditgameError as error:
        return str(error)
    return None


def _field(path: tuple[int | str, ...]) -> str:
    """A field as the form names it; items of a list are counted from 1."""
    match path:
        case (str(field), int(number), str(part)):
            return f"{part} of {field.removesuffix('s')} {number + 1}"
    return ".".join(map(str, path))


def diagnosis(session: AuditSession) -> Diagnosis:
    """The diagnosis to submit. A claim that is not complete is left out."""
    draft = read_draft(session)
    family = draft["family"] if draft["family"] in session.card.families else None
    claim = claim_of(session)
    notes = "\n\n".join(part for part in (draft["hypothesis"], draft["notes"]) if part)
    try:
        return Diagnosis(
            p_flawed=draft["percent"] / 100,
            family=family,
            claim=claim if claim and not problem(session) else None,
            units=tuple(draft["units"]),
            notes=notes,
        )
    except ValidationError as error:
        raise explain(error, "diagnosis") from None
