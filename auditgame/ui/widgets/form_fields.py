"""One field of a claim in the form, and the simplest widget: a choice that may stay empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain, spaced
from auditgame.ui.terms import definition

EMPTY = "not specified"


class FormField(NamedTuple):
    """One field of a claim.

    schema: its JSON schema with references resolved. values: of all fields of the claim so far.
    """

    session: AuditSession
    family: str
    name: str
    schema: dict[str, Any]
    values: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of its value in the session."""
        return key(self.session, "claim", self.family, self.name)

    @property
    def label(self) -> str:
        """The label of its widget."""
        return spaced(self.name)

    @property
    def help(self) -> str | None:
        """What the glossary says of its label, if anything."""
        return definition(self.label)

    @property
    def value(self) -> Any:
        """The current value, or the schema's default."""
        return self.values.get(self.name, self.schema.get("default"))

    def seed(self, value: Any, name: str = "") -> str:
        """Set the value in the session unless there is one; returns its key."""
        name = f"{self.key}/{name}" if name else self.key
        st.session_state.setdefault(name, value)
        return name


def pick(
    key: str, label: str, options: Sequence[Any], value: Any = None, help: str | None = None
) -> Any:
    """A drop-down; None where nothing is chosen. Its value is kept under `key`."""
    st.session_state.setdefault(key, value)
    if st.session_state[key] not in options:
        st.session_state[key] = None
    return st.selectbox(
        plain(label),
        options,
        index=None,
        key=key,
        placeholder=EMPTY,
        format_func=_option,
        help=help,
    )


def _option(option: Any) -> str:
    return str(option).replace("_", " ")
