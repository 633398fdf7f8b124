"""Asking for a box in a picture and for the pattern in it: by dragging, or by numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from auditgame.exhibits.drawing import crop, pattern_png
from auditgame.play.audit_session import AuditSession
from auditgame.ui.draft import key
from auditgame.ui.safe_text import figure
from auditgame.ui.widgets.box_picker import drag_box, dragged

SIDES = {"x": "Left", "y": "Top", "w": "Width", "h": "Height"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def example_png(session: AuditSession, number: int) -> bytes:
    """The picture of this number in the pool, or the last where there are fewer."""
    from auditgame.datasets.images.pictures import png

    inputs = session.context.examples.inputs
    return png(inputs[min(max(number, 0), len(inputs) - 1)])


def marked_example(session: AuditSession) -> bytes:
    """Ask which example to mark, and return its picture."""
    number = key(session, "example")
    st.session_state.setdefault(number, 0)
    top = len(session.context.examples) - 1
    st.number_input("Example to mark", 0, top, step=1, key=number)
    return example_png(session, int(st.session_state[number] or 0))


def ask_box(
    session: AuditSession,
    name: str,
    value: dict[str, int] | None,
    png: bytes,
    others: Sequence[dict[str, int]] = (),
) -> dict[str, int] | None:
    """A box in pixels: drag it on this picture, or type it. None until all four numbers are set.

    others: boxes that are drawn as well, and cannot be changed here.
    """
    _, height, width = session.dataset.shape
    for side in SIDES:
        st.session_state.setdefault(f"{name}/{side}", (value or {}).get(side))
    sides = {side: st.session_state[f"{name}/{side}"] for side in SIDES}
    box = None if None in sides.values() else sides
    canvas = f"{name}/canvas"

    def take() -> None:
        for side, number in (dragged(canvas, (width, height)) or {}).items():
            st.session_state[f"{name}/{side}"] = number

    st.caption("Drag on the picture to draw a box.")
    with st.container(width=340):
        drag_box(png, (width, height), box, canvas, take, others)
    for column, (side, label) in zip(st.columns(4), SIDES.items(), strict=True):
        least, most = int(side in "wh"), (width if side in "xw" else height) - (side in "xy")
        column.number_input(label, least, most, step=1, key=f"{name}/{side}", placeholder="px")
    return box


def ask_pattern(
    name: str, value: list[list[str]] | None, box: dict[str, int] | None, png: bytes
) -> list[list[str]] | None:
    """A pattern of colours: the picture inside the box, or written row by row."""
    text = f"{name}/text"
    st.session_state.setdefault(text, "\n".join(" ".join(row) for row in value or []))

    def crop_box() -> None:
        rows = crop(png, **(box or {}))
        st.session_state[text] = "\n".join(" ".join(row) for row in rows)

    label = "Use this crop as the pattern"
    st.button(label, on_click=crop_box, disabled=box is None, key=f"{name}/cut")
    pattern = read_pattern(st.session_state[text])
    if pattern:
        with st.container(width=132):
            shown = f"your pattern, {len(pattern[0])} by {len(pattern)}"
            st.html(figure(pattern_png(pattern), shown))
    with st.expander("Edit the colours"):
        st.text_area("One row per line, as #rrggbb", key=text, height=110)
    return pattern


def read_pattern(text: str) -> list[list[str]] | None:
    """The pattern in these lines of colours; None where they do not form a rectangle."""
    rows = [_COLOUR.findall(line) for line in text.splitlines() if line.strip()]
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        return None
    return rows
