"""Words to choose from: each is a button, reached by mouse, Tab and the arrow keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

HTML = """<div class="chips" role="group"></div>
"""
CSS = """
.chips { display: flex; flex-wrap: wrap; gap: 0.3rem 0.22rem; font-family: var(--st-font); }
button { font: inherit; line-height: 1.35; color: var(--st-text-color); cursor: pointer;
  padding: 0.18em 0.45em; border-radius: 6px; border: 1px solid var(--st-border-color);
  background: transparent; white-space: pre-wrap; overflow-wrap: anywhere; text-align: center; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); outline: none;
  box-shadow: 0 0 0 1px var(--st-primary-color); }
button[aria-pressed="true"] { border-color: var(--st-primary-color);
  box-shadow: 0 0 0 2px var(--st-primary-color); }
button.changed { font-weight: 650; border-color: var(--st-orange-color); }
button.wrong { border: 1px dashed var(--st-red-color); color: var(--st-red-text-color);
  text-decoration: underline wavy; }
small { display: block; font-size: 0.68rem; line-height: 1; opacity: 0.75; }
"""
JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const ground = parentElement.querySelector(".chips")
  const root = ground.getRootNode()
  const held = [...ground.children].indexOf(root.activeElement)
  ground.setAttribute("aria-label", data.label)
  const stop = data.chosen ?? Math.max(held, 0)
  const chips = data.chips.map((chip, place) => {
    const button = document.createElement("button")
    button.type = "button"
    button.className = chip.tone
    button.style.background = chip.shade
    button.title = chip.note
    button.tabIndex = place === stop ? 0 : -1
    button.setAttribute("aria-label", `word ${place}: ${chip.word}${chip.note && ", " + chip.note}`)
    if (data.chosen !== null) button.setAttribute("aria-pressed", String(place === data.chosen))
    button.append(chip.word)
    if (data.numbered) {
      const number = document.createElement("small")
      number.textContent = place
      button.append(number)
    }
    button.onclick = () => setTriggerValue("picked", place)
    return button
  })
  ground.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const next = chips[chips.indexOf(root.activeElement) + step]
    if (!step || !next) return
    event.preventDefault()
    chips.forEach((chip) => { chip.tabIndex = chip === next ? 0 : -1 })
    next.focus()
  }
  ground.replaceChildren(...chips)
  if (held >= 0) chips[Math.min(held, chips.length - 1)]?.focus()
}
"""


class WordButton(NamedTuple):
    """One word: what is told of it, the colour behind it (CSS), and whether it stands out.

    tone: '' plain, 'changed' where it was edited, 'wrong' where the model does not know it.
    """

    word: str
    note: str = ""
    shade: str = ""
    tone: str = ""


def choose_word(
    chips: Sequence[WordButton],
    key: str,
    on_pick: Callable[[int], None],
    label: str,
    chosen: int | None = None,
    numbered: bool = False,
) -> None:
    """The words in a row that wraps; `on_pick` gets the place of the one that is clicked.

    label: what the row is, for those who hear it. chosen: -1 where a word may be chosen and
    none is, None where a click leads away. numbered: write each word's place under it.
    """
    component = st.components.v2.component("auditgame_chips", html=HTML, css=CSS, js=JS)

    def picked() -> None:
        place: Any = getattr(st.session_state.get(key), "picked", None)
        if type(place) is int and 0 <= place < len(chips):
            on_pick(place)

    data = {
        "chips": [chip._asdict() for chip in chips],
        "label": label,
        "chosen": chosen,
        "numbered": numbered,
    }
    component(key=key, data=data, on_picked_change=picked)
