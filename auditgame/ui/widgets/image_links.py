"""Pictures to choose from: each is a link with its own address, followed without a reload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

from auditgame.exhibits.drawing import data_uri

HTML = """<div class="tiles"></div>"""
CSS = """
.tiles { display: grid; gap: 0.7rem 0.6rem; align-items: start; font-family: var(--st-font); }
a { color: inherit; text-decoration: none; display: block; min-width: 0; border-radius: 8px; }
a:hover img, a:focus-visible img { outline: 2px solid var(--st-primary-color); }
a:focus-visible { outline: none; }
.pair { display: flex; gap: 3px; }
img { display: block; width: 100%; min-width: 0; aspect-ratio: 1; object-fit: contain;
  image-rendering: pixelated; border-radius: 6px; }
.kernel { background: color-mix(in srgb, var(--st-text-color) 8%, transparent); }
span { display: block; font-size: 0.78rem; line-height: 1.3; margin-top: 0.25rem;
  color: var(--st-text-color); overflow-wrap: anywhere; }
small { display: block; font-size: 0.74rem; opacity: 0.75; color: var(--st-text-color); }
"""
JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".tiles")
  grid.style.gridTemplateColumns = `repeat(auto-fill, minmax(${data.least}px, 1fr))`
  grid.replaceChildren(...data.tiles.map((tile) => {
    const link = document.createElement("a")
    link.href = tile.href
    link.title = tile.label
    const pair = document.createElement("div")
    pair.className = "pair"
    tile.pictures.forEach((src, n) => {
      const picture = document.createElement("img")
      picture.src = src
      picture.alt = n ? "kernel" : tile.label
      if (n) picture.className = "kernel"
      pair.append(picture)
    })
    const label = document.createElement("span")
    label.textContent = tile.label
    const note = document.createElement("small")
    note.textContent = tile.note
    link.append(pair, label, note)
    link.onclick = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return
      event.preventDefault()
      setTriggerValue("picked", tile.name)
    }
    return link
  }))
}
"""


class ImageLink(NamedTuple):
    """One picture to choose: its name, its address, one or two PNGs, and two lines below it."""

    name: str
    href: str
    pictures: tuple[bytes, ...]
    label: str
    note: str = ""


def choose_image(
    choices: Sequence[ImageLink], key: str, on_pick: Callable[[str], None], least: int = 84
) -> None:
    """The pictures in rows, each at least `least` pixels wide; `on_pick` gets the chosen name."""
    component = st.components.v2.component("auditgame_tiles", html=HTML, css=CSS, js=JS)
    tiles = [
        {**choice._asdict(), "pictures": [data_uri(png) for png in choice.pictures]}
        for choice in choices
    ]

    def picked() -> None:
        name: Any = getattr(st.session_state.get(key), "picked", None)
        if name in {choice.name for choice in choices}:
            on_pick(name)

    component(key=key, data={"tiles": tiles, "least": least}, on_picked_change=picked)
