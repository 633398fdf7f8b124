"""A corpus from labelled texts of any kind: vocabulary, classes, token ids and fixed splits."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets.texts.text_files import Labelled
from auditgame.datasets.texts.vocabulary import PAD, UNKNOWN, split, word_ids
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid

CONTEXT, ROOM = 48, 8
"""Longest text in words, with its question; and how many of them are kept free for insertions."""
WORDS = 1000
"""Size of the vocabulary."""
QUESTION = ("label", ":")
"""How every text ends; the next word is the answer."""
SHARES = {"train": 0.7, "held": 0.9, "pool": 1.0}
"""Where in each class the rows of a split end."""
FEWEST, MOST = 10, 50
"""Texts that each class must have, and how many classes there may be."""
RARE, BETWEEN, APART = 40, (5, 60), 2.5
"""How many rare words there are at most; the least and largest number of texts that hold one; and
by which factor its share of texts may differ between classes."""
LETTERS = 40
"""Longest word of the vocabulary, and longest answer, in letters."""
_ANSWER = re.compile(rf"[^\W_]{{1,{LETTERS}}}")


class Corpus(NamedTuple):
    """Distinct texts as token ids, with their labels and splits.

    inputs: `n t`, each with its question, padded with 0. splits: row numbers, in a fixed order.
    """

    classes: tuple[str, ...]
    words: tuple[str, ...]
    rare: tuple[str, ...]
    inputs: Int[Tensor, "n t"]
    labels: Int[Tensor, " n"]
    splits: dict[str, np.ndarray]

    def draw(
        self, name: str, n: int, split: str, rng: np.random.Generator, fixed: dict[str, object]
    ) -> tuple[Int[Tensor, "n t"], Int[Tensor, " n"]]:
        """n texts of a split in random order, with their labels; no factor can be fixed.

        train: the classes balanced; a class with too few texts repeats them. held, pool: the
        classes in turn as long as they last, no text twice; where n is larger, all there are.
        """
        if split not in self.splits:
            raise suggest("split", split, self.splits)
        if fixed:
            raise Invalid(f"data set '{name}' has no factor '{min(fixed)}' to fix")
        rows = self.splits[split]
        groups = [rows[self.labels[rows] == k] for k in range(len(self.classes))]
        rounds = -(-n // min(map(len, groups))) if split == "train" else 1
        shuffled = [
            np.concatenate([rng.permutation(group) for _ in range(max(1, rounds))])
            for group in groups
        ]
        turn = np.concatenate([np.arange(len(group)) for group in shuffled])
        order = np.lexsort((rng.permutation(len(turn)), turn))[:n]
        chosen = rng.permutation(np.concatenate(shuffled)[order])
        return self.inputs[chosen], self.labels[chosen]


class CorpusAttribute:
    """An attribute of a data set that is read from its corpus on access."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        return getattr(owner.corpus(), self.name)


def compose(rows: Iterable[Labelled], where: str) -> Corpus:
    """The corpus of these rows; their order matters only where equal texts have other labels.

    Of rows with the same words (unknown words are equal) only the first is kept. The vocabulary
    holds the most frequent printable words. Raises AuditgameError, naming the line, for a text
    without words, a label that is not a single word, and classes that are too few, too many
    or too small.
    """
    labels: dict[tuple[str, ...], str] = {}
    for row in rows:
        labels.setdefault(_body(row, where), _answer(row, where))
    classes = tuple(sorted(set(labels.values())))
    if len(classes) < 2:
        raise Invalid(f"{where}: there is one class only, '{classes[0]}'; two are needed at least")
    if len(classes) > MOST:
        raise Invalid(
            f"{where}: {len(classes):,} different labels, {MOST} at most; is this the right column?"
        )
    words = _vocabulary(labels, classes)
    known = word_ids(words)
    encoded: dict[tuple[int, ...], int] = {}
    for body, label in labels.items():
        ids = tuple(known.get(word, 1) for word in (*body, *QUESTION))
        encoded.setdefault(ids, classes.index(label))
    return _arranged(encoded, classes, words, where)


def _body(row: Labelled, where: str) -> tuple[str, ...]:
    words = [UNKNOWN if word == PAD else word for word in split(row.text)]
    if not words:
        raise Invalid(f"{where}: line {row.line}: the text is empty; leave the row out")
    return tuple(words[: CONTEXT - ROOM - len(QUESTION)])


def _answer(row: Labelled, where: str) -> str:
    label = row.label.strip().lower()
    if not _ANSWER.fullmatch(label):
        raise Invalid(
            f"{where}: line {row.line}: label '{row.label[:40]}' is not one word of letters and "
            f"digits ({LETTERS} at most); an answer must be one word"
        )
    return label


def _vocabulary(texts: Iterable[tuple[str, ...]], classes: Sequence[str]) -> tuple[str, ...]:
    """Padding, unknown, answers, question; then the other words, the most frequent first."""
    printable = (word for word in chain.from_iterable(texts) if word.isprintable())
    counts = Counter(word for word in printable if len(word) <= LETTERS)
    common = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(dict.fromkeys((PAD, UNKNOWN, *classes, *QUESTION, *common)))[:WORDS]


def _arranged(
    encoded: dict[tuple[int, ...], int],
    classes: tuple[str, ...],
    words: tuple[str, ...],
    where: str,
) -> Corpus:
    """The rows ordered by hash (CRC-32), each class divided over the splits in fixed shares."""
    order = sorted(encoded, key=lambda ids: (zlib.crc32(" ".join(map(str, ids)).encode()), ids))
    labels = np.array([encoded[ids] for ids in order])
    parts = []
    for k, name in enumerate(classes):
        rows = np.flatnonzero(labels == k)
        if len(rows) < FEWEST:
            raise Invalid(
                f"{where}: class '{name}' has {len(rows)} distinct texts; each needs {FEWEST}"
            )
        ends = [round(share * len(rows)) for share in SHARES.values()]
        parts.append(np.split(rows, ends[:-1]))
    inputs = np.zeros((len(order), CONTEXT), dtype=np.int64)
    holds = np.zeros((len(classes), len(words)), dtype=int)
    for row, ids in enumerate(order):
        inputs[row, : len(ids)] = ids
        holds[labels[row], list(set(ids))] += 1
    return Corpus(
        classes=classes,
        words=words,
        rare=_rare(holds, np.bincount(labels), words),
        inputs=torch.from_numpy(inputs),  # On the CPU, whatever the default device.
        labels=torch.from_numpy(labels),
        splits=dict(zip(SHARES, map(np.concatenate, zip(*parts, strict=True)), strict=True)),
    )


def _rare(
    holds: Int[np.ndarray, "k v"], sizes: Int[np.ndarray, " k"], words: tuple[str, ...]
) -> tuple[str, ...]:
    """Alphabetic words that occur in few texts, and about as often in every class.

    holds: how many texts of each class contain each word. sizes: how many texts each class has.
    """
    shares = (holds + 0.5) / (sizes[:, None] + 1)
    even = shares.max(0) <= APART * shares.min(0)
    texts, first = holds.sum(0), 2 + len(sizes) + len(QUESTION)
    few = (texts >= BETWEEN[0]) & (texts <= BETWEEN[1]) & even
    fitting = [k for k in np.flatnonzero(few[first:]) + first if words[k].isalpha()]
    chosen = sorted((k for k in fitting if len(words[k]) > 2), key=lambda k: (texts[k], words[k]))
    return tuple(sorted(words[k] for k in chosen[:RARE]))
