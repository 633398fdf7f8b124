"""The evidence: exhibits that were pinned, each opened in place."""

from __future__ import annotations

import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession
from auditgame.schema.records import digest
from auditgame.ui.draft import key
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import plain


def pin_button(session: AuditSession, exhibit: Exhibit, name: str, pinned: set[str]) -> None:
    """A button that pins an exhibit; `pinned` holds the digests of those that are pinned."""
    mark = digest(exhibit.model_dump(mode="json"))

    def pin() -> None:
        session.pin(exhibit)
        st.rerun(["casefile", "toolbench"])

    done = mark in pinned
    label = "Pinned" if done else "Pin as evidence"
    st.button(label, type="tertiary", on_click=pin, disabled=done, key=f"{name}/pin")


def evidence(session: AuditSession) -> None:
    """Every pinned exhibit under its title; opened, it is drawn as the tool showed it."""
    pins = session.pins()
    st.markdown(f"**Evidence** · {len(pins)} pinned" if pins else "**Evidence**")
    if not pins:
        st.caption("Exhibits that you pin are kept here.")
    for pin in pins:
        name = key(session, "pinned", pin.ref["exhibit"])
        piece = st.expander(plain(pin.title), key=name, on_change="rerun")
        if piece.open:
            with piece:
                _open(session, pin.ref, name)


def _open(session: AuditSession, ref: dict[str, str], name: str) -> None:
    exhibit = session.exhibit(ref)
    if exhibit is None:
        st.caption("This was pinned in the microscope; open it there.")
    else:
        draw(exhibit, name)
    remove = f"{name}/remove"
    st.button("Remove", type="tertiary", key=remove, on_click=_unpin, args=(session, ref))


def _unpin(session: AuditSession, ref: dict[str, str]) -> None:
    session.unpin(ref)
    st.rerun(["casefile", "toolbench"])
