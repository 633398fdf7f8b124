"""A text as chips: pick an example, click a word, change it, see what the model says now."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import streamlit as st

from auditgame.schema.errors import AuditgameError
from auditgame.ui.draft import key
from auditgame.ui.safe_text import plain
from auditgame.ui.widgets.word_buttons import WordButton, choose_word
from auditgame.ui.workbench.drill_down import DrillDown, drill_downs, open_tool
from auditgame.ui.workbench.text_state import MOST_LETTERS, TextState

MOST_CHIPS = 200
"""Of a text that is far too long, so many words are shown."""


def edit(sheet: TextState, title: str = "") -> bool:
    """Draw the text with everything that can be done to it. Can it be read as it stands?"""
    with st.container(border=True):
        whole, numbered = _head(sheet, title)
        if whole:
            _whole(sheet)
        _chips(sheet, numbered)
        _standing(sheet)
        if sheet.place >= 0:
            _word(sheet)
        trouble = sheet.trouble
        if trouble:
            _explain(sheet, trouble)
        elif sheet.text:
            _answer(sheet)
    return trouble is None


def _head(sheet: TextState, title: str) -> tuple[bool, bool]:
    """Which example, and how it is shown: written out, with the places of its words?"""
    number, top = sheet.key("number"), len(sheet.session.context.examples) - 1
    st.session_state[number] = sheet.number

    def take() -> None:
        sheet.lay("", int(st.session_state[number] or 0))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = f"{title}: example" if title else "Example"
        st.number_input(label, 0, top, step=1, key=number, on_change=take, width=190)
        whole = st.toggle("Write", key=sheet.key("whole"), help="Write or paste a whole text.")
        places = st.toggle(
            "Places", key=sheet.key("places"), help="Write its place under each word."
        )
    return whole, places


def _whole(sheet: TextState) -> None:
    here = sheet.key("written")
    st.session_state[here] = " ".join(sheet.words)

    def take() -> None:
        sheet.lay(st.session_state[here].strip(), sheet.number)

    st.text_area(
        "Text", key=here, on_change=take, max_chars=MOST_LETTERS, height=90,
        help="It takes effect when you leave the field, or at Ctrl and Enter.",
    )  # fmt: skip


def _chips(sheet: TextState, numbered: bool) -> None:
    known, changed = set(sheet.session.dataset.words), sheet.changed

    def chip(place: int, word: str) -> WordButton:
        if word not in known:
            return WordButton(word, "the model does not know it", tone="wrong")
        return WordButton(word, "edited", tone="changed") if place in changed else WordButton(word)

    def pick(place: int) -> None:
        st.session_state[sheet.key("place")] = -1 if place == sheet.place else place

    shown = [chip(*pair) for pair in enumerate(sheet.words[:MOST_CHIPS])]
    choose_word(shown, sheet.key("chips"), pick, "The words of the text", sheet.place, numbered)


def _standing(sheet: TextState) -> None:
    """Is it an example, with which right answer, or how far from one?"""
    pool, number = sheet.session.context.examples, sheet.number
    if not sheet.text:
        right = sheet.session.card.classes[int(pool.labels[number])]
        st.caption(f"Example {number}; right answer: {plain(right)}. Click a word to change it.")
        return
    count = len(sheet.changed)
    words = "words were" if count != 1 else "word was"
    told = f"Example {number}, where {count} {words} changed" if sheet.related else "Your own text"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{told}.", width="content")
        back = partial(sheet.lay, "", number)
        st.button(
            f"Back to example {number}", type="tertiary", on_click=back, key=sheet.key("back")
        )


def _word(sheet: TextState) -> None:
    """What can be done with the word that is chosen."""
    place, here = sheet.place, sheet.key("word")
    st.session_state[here] = sheet.words[place]

    def take() -> None:
        sheet.replace(place, st.session_state[here])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            f"Word {place}", key=here, on_change=take, max_chars=200, width=190,
            help="Another word, or several; then Enter.",
        )  # fmt: skip
        st.button("Delete", on_click=sheet.replace, args=(place, ""), key=sheet.key("delete"))
        _deeper(sheet, place)


def _deeper(sheet: TextState, place: int) -> None:
    found, here = drill_downs(sheet, place), sheet.key("deeper")

    def go() -> None:
        chosen = st.session_state[here]
        if chosen in found:
            open_tool(sheet.session, chosen.tool, chosen.options)

    if found and not sheet.trouble:
        st.menu_button("Go deeper", found, key=here, format_func=_led, on_click=go)


def _led(lead: DrillDown) -> str:
    return plain(lead.words)


def _explain(sheet: TextState, trouble: str) -> None:
    """What is wrong with the text; for each unknown word, what may have been meant."""
    unknown = sheet.refused
    if not unknown or len(sheet.words) > sheet.session.dataset.shape[0]:
        st.error(plain(trouble))
        return
    for word in unknown[:3]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":red[The model does not know] **{plain(word)}**.", width="content")
            for other in sheet.meant(word):
                said = [other if w == word else w for w in sheet.words]
                name = sheet.key("meant", word, other)
                st.button(plain(other), on_click=sheet.write, args=(said,), key=name)


class ModelAnswer(NamedTuple):
    """What the model answers to a text, and how likely it finds that."""

    answer: str
    chance: float


def _answer(sheet: TextState) -> None:
    """What the model says now, beside what it said of the example; each new text costs a probe."""
    with st.container(horizontal=True, vertical_alignment="center"):
        on = st.toggle(
            "Answer as I edit", True, key=sheet.key("live"), help="1 probe for each new text."
        )
        if not on:
            return
        try:
            now = _said(sheet, sheet.words)
            before = _said(sheet, sheet.example) if sheet.related else None
        except AuditgameError as error:
            st.caption(plain(error))
            return
        was = f", was {plain(before.answer)} {before.chance:.0%}" if before else ""
        st.markdown(f"**{plain(now.answer)} {now.chance:.0%}**{was}", width="content")
        st.caption(
            f"1 probe for each new text · {sheet.session.remaining_budget():,} left",
            width="content",
        )


def _said(sheet: TextState, words: list[str]) -> ModelAnswer:
    """Asked once for each text; the tool that is asked is journalled and charged like any."""
    from auditgame.exhibits.reading import rows

    told, text = st.session_state.setdefault(key(sheet.session, "answers"), {}), " ".join(words)
    if text not in told:
        [row] = rows(sheet.session.run_tool("predict", text=text).exhibits, "predictions")
        told[text] = ModelAnswer(row["answer"], row["probability"])
    return told[text]
