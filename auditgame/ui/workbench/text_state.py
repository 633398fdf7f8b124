"""A text under examination: an example or a text of one's own, edited word by word."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any, NamedTuple

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.ui.draft import key
from auditgame.ui.widgets.option_fields import PromptNames

SLOTS = ("first", "second")
"""Names of the texts that a tool takes, in the order of its options."""
MOST_LETTERS = 2000
"""No tool takes a longer text."""
SIMILAR = 0.6
"""From this ratio of matching words on, an edited text counts as a variant of its example."""


class TextState(NamedTuple):
    """One of the texts on the workbench, kept in the session; all tools share it.

    slot: which of the texts, where there are two.
    """

    session: AuditSession
    slot: str = SLOTS[0]

    def key(self, *parts: str) -> str:
        """The session key of something of this text."""
        return key(self.session, "text", self.slot, *parts)

    def start(self, text: str, example: int) -> None:
        """Set a first text, unless there is one already."""
        if self.key("text") not in st.session_state:
            self.load(text, example)

    def load(self, text: str, example: int) -> None:
        """Replace the text; an empty one stands for the example of this number."""
        pool = len(self.session.context.examples)
        st.session_state[self.key("example")] = min(max(example, 0), pool - 1)
        st.session_state[self.key("text")] = text
        st.session_state[self.key("position")] = -1

    @property
    def text(self) -> str:
        """The written text; empty where the example is unchanged."""
        return str(st.session_state.get(self.key("text"), ""))

    @property
    def number(self) -> int:
        """The number of the example that this is, or was made from."""
        return int(st.session_state.get(self.key("example"), 0))

    @property
    def position(self) -> int:
        """The position of the selected word; -1 for none."""
        position = int(st.session_state.get(self.key("position"), -1))
        return position if position < len(self.words) else -1

    @property
    def example(self) -> list[str]:
        """The words of the example, before any edit."""
        return self.session.texts.decode(self.session.context.examples.inputs[self.number]).split()

    @property
    def words(self) -> list[str]:
        """The current words."""
        from auditgame.datasets.texts.vocabulary import split

        return split(self.text) if self.text.strip() else self.example

    def write(self, words: Sequence[str]) -> None:
        """Set the words; the unchanged example where they are its own, or where none is left."""
        st.session_state[self.key("text")] = "" if list(words) == self.example else " ".join(words)

    def replace(self, position: int, text: str) -> None:
        """Replace the word at this position by the words of a text, or by none."""
        from auditgame.datasets.texts.vocabulary import split

        words = self.words
        self.write([*words[:position], *split(text), *words[position + 1 :]])

    @property
    def changed(self) -> set[int]:
        """The positions of the words that differ from the example."""
        blocks = self._match().get_matching_blocks()
        kept = {b.b + i for b in blocks for i in range(b.size)}
        return set(range(len(self.words))) - kept

    @property
    def related(self) -> bool:
        """Is it still a variant of the example?"""
        return self._match().ratio() >= SIMILAR

    def _match(self) -> SequenceMatcher[str]:
        return SequenceMatcher(None, self.example, self.words, autojunk=False)

    @property
    def unknown(self) -> list[str]:
        """The words that are not in the vocabulary, each once."""
        known = set(self.session.texts.words)
        return [word for word in dict.fromkeys(self.words) if word not in known]

    @property
    def refused(self) -> list[str]:
        """The unknown words, where the data set refuses texts that contain any."""
        from auditgame.datasets.texts.vocabulary import WholeWordTexts

        dataset = self.session.dataset
        strict = isinstance(dataset, WholeWordTexts) and dataset.refuses_unknown
        return self.unknown if strict else []

    def suggestions(self, word: str) -> list[str]:
        """Up to three known words that resemble an unknown one."""
        return get_close_matches(word, self.session.texts.words[2:], n=3, cutoff=0.5)

    @property
    def trouble(self) -> str | None:
        """Why can no tool read it? None where it can be read."""
        if len(self.text) > MOST_LETTERS:
            return f"text: longer than {MOST_LETTERS} letters; shorten it"
        try:
            self.session.texts.encode(" ".join(self.words))
        except AuditgameError as error:
            return str(error)
        return None

    def options(self, names: PromptNames) -> dict[str, Any]:
        """This text as the options of a tool that has these names for it."""
        if names.example is None:
            return {names.text: " ".join(self.words)}
        return {names.text: self.text, names.example: self.number}
