"""The text editor: pick an example, click a word, change it, see the new prediction."""

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

MOST_WORDS = 200
"""Of a longer text, this many words are shown."""


def edit(text: TextState, title: str = "") -> bool:
    """Draw the text with everything that can be done to it. Can it be read as it is?"""
    with st.container(border=True):
        whole, numbered = _head(text, title)
        if whole:
            _whole_text(text)
        _words(text, numbered)
        _origin(text)
        if text.position >= 0:
            _word(text)
        trouble = text.trouble
        if trouble:
            _explain(text, trouble)
        elif text.text:
            _prediction(text)
    return trouble is None


def _head(text: TextState, title: str) -> tuple[bool, bool]:
    """The number of the example. Is the whole text edited, and are positions shown?"""
    number, last = text.key("number"), len(text.session.context.examples) - 1
    st.session_state[number] = text.number

    def take() -> None:
        text.load("", int(st.session_state[number] or 0))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = f"{title}: example" if title else "Example"
        st.number_input(label, 0, last, step=1, key=number, on_change=take, width=190)
        whole = st.toggle("Edit as text", key=text.key("whole"), help="Write or paste a text.")
        positions = st.toggle(
            "Positions", key=text.key("positions"), help="Show the position under each word."
        )
    return whole, positions


def _whole_text(text: TextState) -> None:
    name = text.key("written")
    st.session_state[name] = " ".join(text.words)

    def take() -> None:
        text.load(st.session_state[name].strip(), text.number)

    st.text_area(
        "Text", key=name, on_change=take, max_chars=MOST_LETTERS, height=90,
        help="Leave the field, or press Ctrl and Enter, to apply the change.",
    )  # fmt: skip


def _words(text: TextState, numbered: bool) -> None:
    known, changed = set(text.session.texts.words), text.changed

    def button(position: int, word: str) -> WordButton:
        if word not in known:
            return WordButton(word, "not in the vocabulary", tone="wrong")
        edited = position in changed
        return WordButton(word, "edited", tone="changed") if edited else WordButton(word)

    def pick(position: int) -> None:
        selected = -1 if position == text.position else position
        st.session_state[text.key("position")] = selected

    shown = [button(*pair) for pair in enumerate(text.words[:MOST_WORDS])]
    choose_word(shown, text.key("words"), pick, "The words of the text", text.position, numbered)


def _origin(text: TextState) -> None:
    """Which example is it, with which label, or how far from one?"""
    pool, number = text.session.context.examples, text.number
    if not text.text:
        label = text.session.card.classes[int(pool.labels[number])]
        st.caption(f"Example {number}, true label: {plain(label)}. Click a word to change it.")
        return
    count = len(text.changed)
    words = f"{count} word{'' if count == 1 else 's'} changed"
    origin = f"Example {number}, {words}" if text.related else "Your own text"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{origin}.", width="content")
        back = partial(text.load, "", number)
        st.button(f"Back to example {number}", type="tertiary", on_click=back, key=text.key("back"))


def _word(text: TextState) -> None:
    """What can be done with the selected word."""
    position, name = text.position, text.key("word")
    st.session_state[name] = text.words[position]

    def take() -> None:
        text.replace(position, st.session_state[name])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            f"Word {position}", key=name, on_change=take, max_chars=200, width=190,
            help="Write one or more other words, then press Enter.",
        )  # fmt: skip
        st.button("Delete", on_click=text.replace, args=(position, ""), key=text.key("delete"))
        _drill_down(text, position)


def _drill_down(text: TextState, position: int) -> None:
    ways, name = drill_downs(text, position), text.key("deeper")

    def open_chosen() -> None:
        chosen = st.session_state[name]
        if chosen in ways:
            open_tool(text.session, chosen.tool, chosen.options)

    if ways and not text.trouble:
        st.menu_button("Go deeper", ways, key=name, format_func=_label, on_click=open_chosen)


def _label(way: DrillDown) -> str:
    return plain(way.label)


def _explain(text: TextState, trouble: str) -> None:
    """What is wrong with the text; for unknown words, buttons with similar known ones."""
    unknown = text.refused
    if not unknown or len(text.words) > text.session.dataset.shape[0]:
        st.error(plain(trouble))
        return
    for word in unknown[:3]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(word)}** :red[is not in the vocabulary.]", width="content")
            for other in text.suggestions(word):
                words = [other if w == word else w for w in text.words]
                name = text.key("suggestion", word, other)
                st.button(plain(other), on_click=text.write, args=(words,), key=name)


class Prediction(NamedTuple):
    """The most probable class of a text, and its probability."""

    answer: str
    probability: float


def _prediction(text: TextState) -> None:
    """The prediction now, and for the example before; each new text costs a query."""
    with st.container(horizontal=True, vertical_alignment="center"):
        on = st.toggle(
            "Predict while editing", True, key=text.key("live"), help="1 query for each new text."
        )
        if not on:
            return
        try:
            now = _predict(text, text.words)
            before = _predict(text, text.example) if text.related else None
        except AuditgameError as error:
            st.caption(plain(error))
            return
        was = f", was {plain(before.answer)} {before.probability:.0%}" if before else ""
        st.markdown(f"**{plain(now.answer)} {now.probability:.0%}**{was}", width="content")
        st.caption(
            f"1 query for each new text · {text.session.remaining_budget():,} left",
            width="content",
        )


def _predict(text: TextState, words: list[str]) -> Prediction:
    """The prediction for a text, asked once; recorded and charged as any use of the tool."""
    from auditgame.exhibits.reading import rows

    known = st.session_state.setdefault(key(text.session, "predictions"), {})
    written = " ".join(words)
    if written not in known:
        [row] = rows(text.session.run_tool("predict", text=written).exhibits, "predictions")
        known[written] = Prediction(row["answer"], row["probability"])
    return known[written]
