"""A box that is dragged on a picture. Number inputs beside it do the same from the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from auditgame.exhibits.drawing import data_uri

HTML = """
<div class="stage"><img class="picture" draggable="false">
  <div class="others"></div><div class="box"></div></div>
"""
CSS = """
.stage { position: relative; width: 100%; touch-action: none; cursor: crosshair;
  user-select: none; }
.picture { width: 100%; display: block; image-rendering: pixelated; border-radius: 6px; }
.other { position: absolute; pointer-events: none; border: 1px dashed #fff;
  outline: 1px dashed #22292b; box-sizing: border-box; }
.box { position: absolute; display: none; pointer-events: none; border: 2px solid #fff;
  outline: 2px solid #c8553d; box-sizing: border-box; }
"""
JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const stage = parentElement.querySelector(".stage")
  const picture = parentElement.querySelector(".picture")
  const box = parentElement.querySelector(".box")
  picture.src = data.src
  picture.alt = data.alt
  const place = (frame, b) => {
    frame.style.left = (100 * b.x) / data.width + "%"
    frame.style.top = (100 * b.y) / data.height + "%"
    frame.style.width = (100 * b.w) / data.width + "%"
    frame.style.height = (100 * b.h) / data.height + "%"
    return frame
  }
  const show = (b) => {
    box.style.display = b ? "block" : "none"
    if (b) place(box, b)
  }
  show(data.box)
  parentElement.querySelector(".others").replaceChildren(...data.others.map((b) => {
    const frame = document.createElement("div")
    frame.className = "other"
    return place(frame, b)
  }))
  const at = (event) => {
    const frame = stage.getBoundingClientRect()
    const clamp = (v, top) => Math.max(0, Math.min(top - 1, Math.floor(v)))
    return {
      x: clamp(((event.clientX - frame.left) / frame.width) * data.width, data.width),
      y: clamp(((event.clientY - frame.top) / frame.height) * data.height, data.height),
    }
  }
  const between = (a, b) => ({
    x: Math.min(a.x, b.x), y: Math.min(a.y, b.y),
    w: Math.abs(a.x - b.x) + 1, h: Math.abs(a.y - b.y) + 1,
  })
  let start = null
  stage.onpointerdown = (event) => {
    start = at(event)
    stage.setPointerCapture(event.pointerId)
    show(between(start, start))
  }
  stage.onpointermove = (event) => { if (start) show(between(start, at(event))) }
  stage.onpointerup = (event) => {
    if (start) setTriggerValue("box", between(start, at(event)))
    start = null
  }
}
"""


def drag_box(
    png: bytes,
    size: tuple[int, int],
    box: dict[str, int] | None,
    key: str,
    on_box: Callable[[], None],
    others: Sequence[dict[str, int]] = (),
) -> None:
    """A picture of `size` (width, height) to drag a box on; `on_box` is called after each drag.

    The callback finds the new box, in pixels, in `dragged(key)`. others: boxes that are drawn
    as well.
    """
    component = st.components.v2.component("auditgame_drag_box", html=HTML, css=CSS, js=JS)
    data = {
        "src": data_uri(png),
        "alt": "Example picture; drag to draw a box, or use the number fields",
        "width": size[0],
        "height": size[1],
        "box": box,
        "others": list(others),
    }
    component(key=key, data=data, on_box_change=on_box)


def dragged(key: str, size: tuple[int, int]) -> dict[str, int] | None:
    """The box just dragged; None where what the browser sent does not fit the picture."""
    raw: Any = getattr(st.session_state.get(key), "box", None)
    try:
        x, y, w, h = (int(raw[name]) for name in "xywh")
    except (TypeError, KeyError, ValueError):
        return None
    inside = 0 <= x < size[0] and 0 <= y < size[1]
    fits = w >= 1 and h >= 1 and x + w <= size[0] and y + h <= size[1]
    return {"x": x, "y": y, "w": w, "h": h} if inside and fits else None
