"""One field of a claim to fill in, and the plainest way to do so: pick from a list, or leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain, tidy

UNSAID = "not said"


class FormField(NamedTuple):
    """One field of a claim to fill in.

    schema: its JSON schema, references followed. said: what the claim's fields hold so far.
    """

    session: AuditSession
    family: str
    name: str
    schema: dict[str, Any]
    said: dict[str, Any]

    @property
    def key(self) -> str:
        """Where its value lives in the session."""
        return key(self.session, "claim", self.family, self.name)

    @property
    def label(self) -> str:
        """What stands over it."""
        return tidy(self.name)

    @property
    def value(self) -> Any:
        """What was said of it before, or else its default."""
        return self.said.get(self.name, self.schema.get("default"))

    def seed(self, value: Any, name: str = "") -> str:
        """Start from this value unless the session has one; the key it lives under."""
        here = f"{self.key}/{name}" if name else self.key
        st.session_state.setdefault(here, value)
        return here


def pick(here: str, label: str, options: Sequence[Any], before: Any = None) -> Any:
    """One of these, or None where nothing is said; its value lives under `here`."""
    st.session_state.setdefault(here, before)
    if st.session_state[here] not in options:
        st.session_state[here] = None
    return st.selectbox(
        plain(label), options, index=None, key=here, placeholder=UNSAID, format_func=_words
    )


def _words(option: Any) -> str:
    return str(option).replace("_", " ")
