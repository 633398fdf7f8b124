"""Texts that somebody laid beside a language model: from a file, or typed."""

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
from auditgame.schema.errors import AuditgameError

ROOM = 8
"""Places left free behind the longest text, so that words can be put in."""
MAX_BYTES = 64 * 2**20
"""No file of texts may be larger."""
RARE = 40
"""Words that say nothing here: so many are taken of those that the texts do not hold."""
TEXT, LABEL = "text", "label"
"""The columns of a CSV file that are read; the second may be missing."""


class TextInput(NamedTuple):
    """A text, the label it came with (empty: none), and what to call it in complaints."""

    text: str
    label: str = ""
    where: str = "text"


def read_texts(path: Path) -> list[TextInput]:
    """One text a line; of a .csv or .tsv file, the column `text` and, if it is there, `label`.

    Blank texts are passed over. Raises AuditgameError, naming file and line.
    """
    where = f"texts '{path}'"
    content = _content(path, where)
    if path.suffix.lower() in (".csv", ".tsv"):
        found = _columns(content, "\t" if path.suffix.lower() == ".tsv" else ",", where)
    else:
        lines = enumerate(content.splitlines(), 1)
        found = [TextInput(line, "", f"{where}: line {number}") for number, line in lines]
    found = [written for written in found if written.text.strip()]
    if not found:
        raise AuditgameError(f"{where}: holds no texts")
    return found


def _content(path: Path, where: str) -> str:
    if not path.is_file():
        raise AuditgameError(f"{where}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise AuditgameError(f"{where}: is over {MAX_BYTES >> 20} MB; take a part of it")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError):
        raise AuditgameError(f"{where}: is no readable UTF-8 text") from None


def _columns(content: str, separator: str, where: str) -> list[TextInput]:
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if TEXT not in names:
            known = ", ".join(f"'{name[:40]}'" for name in names[:12]) or "none"
            raise AuditgameError(f"{where}: no column '{TEXT}'; the first row names {known}")
        return [_row(names, cells, f"{where}: line {rows.line_num}") for cells in rows if cells]
    except csv.Error as error:
        raise AuditgameError(f"{where}: line {rows.line_num}: {error}") from None


def _row(names: list[str], cells: list[str], where: str) -> TextInput:
    if len(cells) != len(names):
        raise AuditgameError(
            f"{where} has {len(cells)} cells where the first row names {len(names)}; "
            "put quotes round a text that holds the separator"
        )
    row = dict(zip(names, cells, strict=True))
    return TextInput(row[TEXT], row.get(LABEL, "").strip(), where)


class Texts(WholeWordTexts, HasRareWords):
    """Texts that lie beside a foreign language model, cut as its own tokenizer cuts them.

    The answer is read where a text ends: which of the named pieces comes next?
    """

    name = "texts"
    title = "Your own texts"
    licence = "whatever the owner of the texts says"
    pieces: ClassVar[Tokenizer]
    answer_ids: ClassVar[tuple[int, ...]]
    pool: ClassVar[Examples]

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n of the texts in random order, or all there are; nothing is trained on them."""
        if fixed:
            raise AuditgameError(f"data set '{self.name}' has no factor '{next(iter(fixed))}'")
        return self.pool.take(rng.permutation(len(self.pool))[:n])

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text; one too long, empty, or of unknown words is refused."""
        if not text.strip():
            raise AuditgameError("text: it is empty; write at least one word")
        strange = self.pieces.stranger(text)
        if strange is not None:
            raise suggest("word", strange, self.words[2:])
        ids = self.pieces.read(text)
        if len(ids) > self.shape[0]:
            raise AuditgameError(
                f"text: {len(ids):,} tokens are too many; the model reads {self.shape[0]:,} at most"
            )
        while ids and ids[-1] == self.pad:
            ids.pop()
        if not ids:
            raise AuditgameError("text: it holds nothing but padding; write at least one word")
        return torch.tensor(ids)

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, padding left out; escapes for what cannot be printed."""
        kept = ids.tolist()
        while kept and kept[-1] == self.pad:
            kept.pop()
        return self.pieces.write(kept)

    def answers(self) -> tuple[int, ...]:
        """The token id of each class's answer."""
        return self.answer_ids

    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Where may a word stand: behind the pieces that end a sentence, or at the end."""
        there = ids[: int(self.lengths(ids[None]))].tolist()
        ends = [
            at
            for at, index in enumerate(there, 1)
            if self.words[index].endswith(self.sentence_ends)
        ]
        return ends or [len(there)]

    def phrase(self, words: Sequence[str]) -> Int[Tensor, " p"]:
        """Token ids of words as they stand within a text, each after a space."""
        return torch.tensor(
            [index for word in words for index in own_vocabulary(self.pieces, word)]
        )


def own_vocabulary(pieces: Tokenizer, word: str) -> list[int]:
    """The ids of a word within a text: after a space if it is one piece so, or as it is."""
    spaced, plain = (pieces.inside(written) for written in (f" {word.lstrip(SPACE)}", word))
    return plain if len(plain) < len(spaced) else spaced


def load_texts(
    pieces: Tokenizer,
    context: int,
    written: Sequence[TextInput],
    answers: Sequence[tuple[str, int]],
) -> Texts:
    """A data set of these texts; answers: what each class is called, and its id.

    Labels are those the texts came with, and -1 where there is none.
    """

    class ExternalTexts(Texts):
        """The texts that somebody laid beside a network."""

    ExternalTexts.pieces, ExternalTexts.words, ExternalTexts.pad, ExternalTexts.shape = (
        pieces,
        pieces.words,
        pieces.pad,
        (context,),
    )
    ExternalTexts.classes = tuple(name for name, _ in answers)
    ExternalTexts.answer_ids = tuple(index for _, index in answers)
    dataset = ExternalTexts()
    rows = [_encoded(dataset, one) for one in written]
    width = min(context, max(map(len, rows)) + ROOM)
    inputs = torch.full((len(rows), width), pieces.pad)
    for row, ids in enumerate(rows):
        inputs[row, : len(ids)] = ids
    ExternalTexts.rare = _rare(pieces, set(inputs.flatten().tolist()))
    labels = torch.tensor([_label(dataset, one) for one in written])
    ExternalTexts.pool = Examples(inputs, labels)
    return dataset


def _rare(pieces: Tokenizer, seen: set[int]) -> tuple[str, ...]:
    """Words of the vocabulary that stand in none of the texts, evenly over the whole of it."""
    spaced = any(word.startswith(SPACE) for word in pieces.words)
    found = [
        word
        for index, word in enumerate(pieces.words)
        if index not in seen
        and word.removeprefix(SPACE).isalpha()
        and word.startswith(SPACE) == spaced
    ]
    rows = np.unique(np.linspace(0, len(found) - 1, min(RARE, len(found))).round().astype(int))
    return tuple(found[row] for row in rows)


def _encoded(dataset: TextDataset, one: TextInput) -> Int[Tensor, " t"]:
    try:
        return dataset.encode(one.text)
    except AuditgameError as error:
        raise AuditgameError(f"{one.where}: {str(error).removeprefix('text: ')}") from None


def _label(dataset: TextDataset, one: TextInput) -> int:
    if not one.label:
        return -1
    return dataset.require_class(one.label, f"{one.where}: label")
