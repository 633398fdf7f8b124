"""Texts over a vocabulary of whole words: tokenising, and inserting words."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid

PAD, UNKNOWN = "<pad>", "<unk>"
"""The first two words of every vocabulary."""
_TOKEN = re.compile(rf"{PAD}|{UNKNOWN}|[^\W_]+|[^\w\s]|_")


def split(text: str) -> list[str]:
    """The words of a text in lower case, punctuation separate."""
    return _TOKEN.findall(text.lower())


@functools.lru_cache(maxsize=16)
def word_ids(words: tuple[str, ...]) -> dict[str, int]:
    """The id of each word of a vocabulary; not to be changed."""
    return {word: index for index, word in enumerate(words)}


class WholeWordTexts(TextDataset):
    """A text data set whose tokens are whole words; a sub-class says how texts are drawn."""

    sentence_ends: ClassVar[tuple[str, ...]] = (".", "!", "?")
    """Words that end a sentence."""
    question_start: ClassVar[str] = ""
    """The first word of the question that ends each text; empty where there is none."""
    refuses_unknown: ClassVar[bool] = True
    """Is an unknown word an error, or is it read as <unk>?"""

    def index(self, word: str) -> int:
        """The id of a word, or an error with a suggestion."""
        if word not in self.words:
            raise suggest("word", word, self.words[2:])
        return self.words.index(word)

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text; unknown words are refused, or read as <unk>."""
        words = split(text)
        if not words:
            raise Invalid("text: it is empty; write at least one word")
        if len(words) > self.shape[0]:
            raise Invalid(f"text: {len(words)} words are too many; write at most {self.shape[0]}")
        ids = word_ids(self.words)
        for word in words:
            if word not in ids and self.refuses_unknown:
                raise suggest("word", word, self.words[2:])
        return torch.tensor([ids.get(word, 1) for word in words])

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, without padding."""
        return " ".join(self.words[index] for index in ids.tolist() if index)

    def answers(self) -> tuple[int, ...]:
        """The token id of each class's answer word."""
        return tuple(self.index(name) for name in self.classes)

    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Positions after each sentence of a text, before its question; at least one."""
        words = [self.words[index] for index in ids.tolist() if index]
        start, end = self.question_start, len(words)
        if start in words:
            end = len(words) - 1 - words[::-1].index(start)
        after = [at + 1 for at in range(end) if words[at] in self.sentence_ends]
        return after or [end]

    def hashes(self, inputs: Int[Tensor, "n t"]) -> list[int]:
        """A fixed pseudo-random number for each text (CRC-32 of its token ids)."""
        return [zlib.crc32(" ".join(map(str, row)).encode()) for row in inputs.tolist()]

    def phrase(self, words: Sequence[str]) -> Int[Tensor, " p"]:
        """Token ids of words as they appear within a text."""
        return torch.cat([self.encode(word) for word in words])

    def insert(
        self, inputs: Int[Tensor, "n t"], words: Sequence[str], where: Int[Tensor, " n"]
    ) -> Int[Tensor, "n t"]:
        """The texts with these words inserted at position `where`; the rest moves right.

        AuditgameError where the longest text leaves too little room.
        """
        phrase = self.phrase(words)
        extra, width = len(phrase), inputs.shape[1]
        column = torch.arange(width).expand_as(inputs)
        if int(((column + 1) * (inputs != self.pad)).max()) + extra > width:
            raise Invalid(f"text: no room for {extra} more words within {width}")
        start = where[:, None]
        shifted = inputs.gather(1, (column - extra).clamp(min=0))
        inside = phrase[(column - start).clamp(0, extra - 1)]
        return torch.where(
            column < start, inputs, torch.where(column < start + extra, inside, shifted)
        )
