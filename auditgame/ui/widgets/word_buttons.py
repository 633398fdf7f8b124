"""Words to choose from: each is a button for the mouse, the Tab key and the arrow keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

HTML = """<div class="words" role="group"></div>
"""
CSS = """
.words { display: flex; flex-wrap: wrap; gap: 0.3rem 0.22rem; font-family: var(--st-font); }
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
  const row = parentElement.querySelector(".words")
  const root = row.getRootNode()
  const focused = [...row.children].indexOf(root.activeElement)
  row.setAttribute("aria-label", data.label)
  const stop = data.chosen ?? Math.max(focused, 0)
  const buttons = data.words.map((word, position) => {
    const button = document.createElement("button")
    button.type = "button"
    button.className = word.tone
    button.style.background = word.shade
    button.title = word.note
    button.tabIndex = position === stop ? 0 : -1
    const note = word.note && ", " + word.note
    button.setAttribute("aria-label", `word ${position}: ${word.word}${note}`)
    if (data.chosen !== null) button.setAttribute("aria-pressed", String(position === data.chosen))
    button.append(word.word)
    if (data.numbered) {
      const number = document.createElement("small")
      number.textContent = position
      button.append(number)
    }
    button.onclick = () => setTriggerValue("picked", position)
    return button
  })
  row.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const next = buttons[buttons.indexOf(root.activeElement) + step]
    if (!step || !next) return
    event.preventDefault()
    buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1 })
    next.focus()
  }
  row.replaceChildren(...buttons)
  if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus()
}
"""


class WordButton(NamedTuple):
    """One word: its tooltip, the CSS colour behind it, and its style.

    tone: '' plain, 'changed' where it was edited, 'wrong' where it is not in the vocabulary.
    """

    word: str
    note: str = ""
    shade: str = ""
    tone: str = ""


def choose_word(
    words: Sequence[WordButton],
    key: str,
    on_pick: Callable[[int], None],
    label: str,
    chosen: int | None = None,
    numbered: bool = False,
) -> None:
    """The words in a row that wraps; `on_pick` gets the position of the one that is clicked.

    label: of the row, for screen readers. chosen: -1 where a word may be chosen and none is,
    None where a click leads to another tool. numbered: write each word's position under it.
    """
    component = st.components.v2.component("auditgame_words", html=HTML, css=CSS, js=JS)

    def picked() -> None:
        position: Any = getattr(st.session_state.get(key), "picked", None)
        if type(position) is int and 0 <= position < len(words):
            on_pick(position)

    data = {
        "words": [word._asdict() for word in words],
        "label": label,
        "chosen": chosen,
        "numbered": numbered,
    }
    component(key=key, data=data, on_picked_change=picked)
