"""Texts for an external language model: from a file, or typed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import Examples, HasRareWords, Split, TextDataset
from auditgame.datasets.texts.vocabulary import WholeWordTexts
from auditgame.external.tokenizers import SPACE, Tokenizer
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError, Forbidden, Invalid, NotFound

ROOM = 8
"""Positions left free after the longest text, so that words can be inserted."""
MAX_BYTES = 64 * 2**20
"""The largest file of texts that is read."""
RARE = 40
"""Number of neutral words, taken from those that the texts do not contain."""
TEXT, LABEL = "text", "label"
"""The columns of a CSV file that are read; the second is optional."""


class TextInput(NamedTuple):
    """A text, its label (empty: none), and its name in error messages."""

    text: str
    label: str = ""
    where: str = "text"


def read_texts(path: Path) -> list[TextInput]:
    """The texts of a file: one per line; of .csv and .tsv, the column `text` and any `label`.

    Blank texts are skipped. Raises AuditgameError, naming file and line.
    """
    where = f"texts '{path}'"
    content = _content(path, where)
    if path.suffix.lower() in (".csv", ".tsv"):
        found = _columns(content, "\t" if path.suffix.lower() == ".tsv" else ",", where)
    else:
        lines = enumerate(content.splitlines(), 1)
        found = [TextInput(line, "", f"{where}: line {number}") for number, line in lines]
    found = [text for text in found if text.text.strip()]
    if not found:
        raise Invalid(f"{where}: has no texts")
    return found


def _content(path: Path, where: str) -> str:
    if not path.is_file():
        raise NotFound(f"{where}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise Forbidden(f"{where}: is over {MAX_BYTES >> 20} MB; take a part of it")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError):
        raise Invalid(f"{where}: is not readable UTF-8 text") from None


def _columns(content: str, separator: str, where: str) -> list[TextInput]:
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if TEXT not in names:
            known = ", ".join(f"'{name[:40]}'" for name in names[:12]) or "none"
            raise Invalid(f"{where}: no column '{TEXT}'; the first row names {known}")
        return [_row(names, cells, f"{where}: line {rows.line_num}") for cells in rows if cells]
    except csv.Error:
        raise Invalid(f"{where}: line {rows.line_num}: not valid CSV; check its quotes") from None


def _row(names: list[str], cells: list[str], where: str) -> TextInput:
    if len(cells) != len(names):
        raise Invalid(
            f"{where} has {len(cells)} cells where the first row names {len(names)}; "
            "put quotes around a text that contains the separator"
        )
    row = dict(zip(names, cells, strict=True))
    return TextInput(row[TEXT], row.get(LABEL, "").strip(), where)


class Texts(WholeWordTexts, HasRareWords):
    """Texts for an external language model, in the tokens of its own tokenizer.

    The answer is read at the end of a text: which of the named tokens comes next?
    """

    name = "texts"
    title = "Your own texts"
    licence = "that of the texts"
    tokenizer: ClassVar[Tokenizer]
    answer_ids: ClassVar[tuple[int, ...]]
    pool: ClassVar[Examples]

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n of the texts, or all of them, in random order; nothing is trained on them."""
        if fixed:
            raise Invalid(f"data set '{self.name}' has no factor '{next(iter(fixed))}'")
        return self.pool.take(rng.permutation(len(self.pool))[:n])

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text; AuditgameError if it is too long, empty, or has unknown words."""
        if not text.strip():
            raise Invalid("text: it is empty; write at least one word")
        unknown = self.tokenizer.unknown_word(text)
        if unknown is not None:
            raise suggest("word", unknown, self.words[2:])
        ids = self.tokenizer.encode(text)
        if len(ids) > self.shape[0]:
            raise Invalid(
                f"text: {len(ids):,} tokens are too many; the model reads {self.shape[0]:,} at most"
            )
        while ids and ids[-1] == self.pad:
            ids.pop()
        if not ids:
            raise Invalid("text: it is nothing but padding; write at least one word")
        return torch.tensor(ids)

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, without padding; escapes for what cannot be printed."""
        kept = ids.tolist()
        while kept and kept[-1] == self.pad:
            kept.pop()
        return self.tokenizer.decode(kept)

    def answers(self) -> tuple[int, ...]:
        """The token id of each class's answer."""
        return self.answer_ids

    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Positions where a word may be inserted: after the end of a sentence, or at the end."""
        tokens = ids[: int(self.lengths(ids[None]))].tolist()
        ends = [
            at
            for at, index in enumerate(tokens, 1)
            if self.words[index].endswith(self.sentence_ends)
        ]
        return ends or [len(tokens)]

    def phrase(self, words: Sequence[str]) -> Int[Tensor, " p"]:
        """Token ids of words within a text, each after a space."""
        return torch.tensor(
            [index for word in words for index in word_tokens(self.tokenizer, word)]
        )


def word_tokens(tokenizer: Tokenizer, word: str) -> list[int]:
    """The ids of a word within a text: after a space, unless it has fewer tokens without."""
    spaced, plain = map(tokenizer.encode_within, (f" {word.lstrip(SPACE)}", word))
    return plain if len(plain) < len(spaced) else spaced


def load_texts(
    tokenizer: Tokenizer,
    context_length: int,
    texts: Sequence[TextInput],
    answers: Sequence[tuple[str, int]],
) -> Texts:
    """A data set of these texts; answers: the name of each class, and its token id.

    Labels are those of the texts, and -1 where there is none.
    """

    class ExternalTexts(Texts):
        """The texts of one external session."""

    ExternalTexts.tokenizer, ExternalTexts.shape = tokenizer, (context_length,)
    ExternalTexts.words, ExternalTexts.pad = tokenizer.words, tokenizer.pad
    ExternalTexts.classes = tuple(name for name, _ in answers)
    ExternalTexts.answer_ids = tuple(index for _, index in answers)
    dataset = ExternalTexts()
    rows = [_encoded(dataset, text) for text in texts]
    width = min(context_length, max(map(len, rows)) + ROOM)
    inputs = torch.full((len(rows), width), tokenizer.pad)
    for row, ids in enumerate(rows):
        inputs[row, : len(ids)] = ids
    ExternalTexts.rare = _rare(tokenizer, set(inputs.flatten().tolist()))
    labels = torch.tensor([_label(dataset, text) for text in texts])
    ExternalTexts.pool = Examples(inputs, labels)
    return dataset


def _rare(tokenizer: Tokenizer, seen: set[int]) -> tuple[str, ...]:
    """Words of the vocabulary that are in none of the texts, spread evenly over all of it."""
    spaced = any(word.startswith(SPACE) for word in tokenizer.words)
    found = [
        word
        for index, word in enumerate(tokenizer.words)
        if index not in seen
        and word.removeprefix(SPACE).isalpha()
        and word.startswith(SPACE) == spaced
    ]
    rows = np.unique(np.linspace(0, len(found) - 1, min(RARE, len(found))).round().astype(int))
    return tuple(found[row] for row in rows)


def _encoded(dataset: TextDataset, text: TextInput) -> Int[Tensor, " t"]:
    try:
        return dataset.encode(text.text)
    except AuditgameError as error:
        raise Invalid(f"{text.where}: {str(error).removeprefix('text: ')}") from None


def _label(dataset: TextDataset, text: TextInput) -> int:
    if not text.label:
        return -1
    return dataset.require_class(text.label, f"{text.where}: label")
