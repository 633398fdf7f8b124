"""What a player has written of a case so far: kept in the session, saved as a draft."""

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
    """The session key of something of this case."""
    return "/".join([session.card.id, *parts])


def case(session: AuditSession) -> dict[str, Any]:
    """The case as it stands: this session's, or else the draft in the ledger."""
    name = key(session, "case")
    if name not in st.session_state:
        saved = session.draft() or {}
        st.session_state[name] = {k: saved.get(k, copy.deepcopy(v)) for k, v in EMPTY.items()}
    return st.session_state[name]


def update(session: AuditSession, **changes: Any) -> None:
    """Write changes into the case, and save the draft where anything is new."""
    data = case(session)
    if any(data[name] != value for name, value in changes.items()):
        data.update(copy.deepcopy(changes))
        session.save_draft(data)


def claim_of(session: AuditSession) -> dict[str, Any] | None:
    """The claim written for the family that is chosen now; None where it is not needed."""
    data = case(session)
    family = data["family"]
    if family not in session.card.families or load("flaw", family).Claim is None:
        return None
    return {k: v for k, v in data["claims"].get(family, {}).items() if v not in (None, "", {}, [])}


def problem(session: AuditSession) -> str | None:
    """What is missing or wrong in the claim? None where it can be tested."""
    claim = claim_of(session)
    if claim is None:
        return None
    from auditgame.evaluation.claim_parsing import claim_class

    try:
        claim_class(case(session)["family"]).model_validate(claim).check(session.dataset)
    except ValidationError as error:
        missing = [_spot(fault["loc"]) for fault in error.errors() if fault["type"] == "missing"]
        return f"Still open: {', '.join(missing)}." if missing else str(explain(error, "claim"))
    except AuditgameError as error:
        return str(error)
    return None


def _spot(path: tuple[int | str, ...]) -> str:
    """A field as the form names it: the second of several stamps is stamp 2."""
    match path:
        case (str(field), int(number), str(part)):
            return f"{part} of {field.removesuffix('s')} {number + 1}"
    return ".".join(map(str, path))


def diagnosis(session: AuditSession) -> Diagnosis:
    """The case as it would be handed in. A claim that is not complete is left out."""
    data = case(session)
    family = data["family"] if data["family"] in session.card.families else None
    claim = claim_of(session)
    notes = "\n\n".join(part for part in (data["hypothesis"], data["notes"]) if part)
    try:
        return Diagnosis(
            p_flawed=data["percent"] / 100,
            family=family,
            claim=claim if claim and not problem(session) else None,
            units=tuple(data["units"]),
            notes=notes,
        )
    except ValidationError as error:
        raise explain(error, "case file") from None
