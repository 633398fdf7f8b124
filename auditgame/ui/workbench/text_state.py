"""A text on the table: taken from the pool or written, edited word by word. Kept in the session."""

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
"""Where the texts of a tool lie, in the order of its options."""
MOST_LETTERS = 2000
"""No tool takes a longer text."""


class TextState(NamedTuple):
    """One of the texts that a player works on; every tool reads the same.

    slot: which one, where two lie beside each other.
    """

    session: AuditSession
    slot: str = SLOTS[0]

    def key(self, *parts: str) -> str:
        """The session key of something of this text."""
        return key(self.session, "sheet", self.slot, *parts)

    def start(self, text: str, example: int) -> None:
        """Begin with this, unless something lies there already."""
        if self.key("text") not in st.session_state:
            self.lay(text, example)

    def lay(self, text: str, example: int) -> None:
        """Put another text on the table; an empty one stands for the example of this number."""
        pool = len(self.session.context.examples)
        st.session_state[self.key("example")] = min(max(example, 0), pool - 1)
        st.session_state[self.key("text")] = text
        st.session_state[self.key("place")] = -1

    @property
    def text(self) -> str:
        """What was written; empty where the example stands as it is."""
        return str(st.session_state.get(self.key("text"), ""))

    @property
    def number(self) -> int:
        """Of the example that it is, or was made from."""
        return int(st.session_state.get(self.key("example"), 0))

    @property
    def place(self) -> int:
        """Of the word that is chosen; -1 for none."""
        place = int(st.session_state.get(self.key("place"), -1))
        return place if place < len(self.words) else -1

    @property
    def example(self) -> list[str]:
        """The words of the example, before any edit."""
        return self.session.dataset.decode(
            self.session.context.examples.inputs[self.number]
        ).split()

    @property
    def words(self) -> list[str]:
        """The words as they stand."""
        from auditgame.datasets.texts.vocabulary import split

        return split(self.text) if self.text.strip() else self.example

    def write(self, words: Sequence[str]) -> None:
        """Let these words stand; the example itself where they are its own, or none is left."""
        st.session_state[self.key("text")] = "" if list(words) == self.example else " ".join(words)

    def replace(self, place: int, said: str) -> None:
        """Put these words, or none, in the place of one."""
        from auditgame.datasets.texts.vocabulary import split

        words = self.words
        self.write([*words[:place], *split(said), *words[place + 1 :]])

    @property
    def changed(self) -> set[int]:
        """The places of the words that are not the example's."""
        blocks = self._match().get_matching_blocks()
        kept = {b.b + i for b in blocks for i in range(b.size)}
        return set(range(len(self.words))) - kept

    @property
    def related(self) -> bool:
        """Is it still much like the example?"""
        return self._match().ratio() >= 0.6

    def _match(self) -> SequenceMatcher[str]:
        return SequenceMatcher(None, self.example, self.words, autojunk=False)

    @property
    def unknown(self) -> list[str]:
        """The words that the model does not know, each once."""
        known = set(self.session.dataset.words)
        return [word for word in dict.fromkeys(self.words) if word not in known]

    @property
    def refused(self) -> list[str]:
        """The unknown words, where they keep tools from reading the text at all."""
        from auditgame.datasets.texts.vocabulary import WholeWordTexts

        dataset = self.session.dataset
        strict = isinstance(dataset, WholeWordTexts) and dataset.refuses_unknown
        return self.unknown if strict else []

    def meant(self, word: str) -> list[str]:
        """Which known words may an unknown one stand for? Up to three."""
        return get_close_matches(word, self.session.dataset.words[2:], n=3, cutoff=0.5)

    @property
    def trouble(self) -> str | None:
        """Why can no tool read it? None where it can be read."""
        if len(self.text) > MOST_LETTERS:
            return f"text: over {MOST_LETTERS} letters; write less"
        try:
            self.session.dataset.encode(" ".join(self.words))
        except AuditgameError as error:
            return str(error)
        return None

    def options(self, names: PromptNames) -> dict[str, Any]:
        """This text as options of a tool that calls the text and the example so."""
        if names.example is None:
            return {names.text: " ".join(self.words)}
        return {names.text: self.text, names.example: self.number}
