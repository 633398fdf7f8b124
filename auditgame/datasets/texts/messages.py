"""From labelled texts of any kind to a small world of words: vocabulary, classes, splits."""

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
from auditgame.datasets.texts.vocabulary import PAD, UNKNOWN, numbered, split
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError

CONTEXT, ROOM = 48, 8
"""Longest text in words with its question, and how many of them are left to words put in."""
WORDS = 1000
"""Size of the vocabulary."""
QUESTION = ("label", ":")
"""What every text ends in: the next word is the answer."""
SHARES = {"train": 0.7, "held": 0.9, "pool": 1.0}
"""Where in each class the rows of a split end."""
FEWEST, MOST = 10, 50
"""Texts that each class must have, and how many classes there may be."""
RARE, BETWEEN, APART = 40, (5, 60), 2.5
"""So many rare words at most; in how many texts one may stand, and how much more often (share of
texts) in one class than in another."""
LETTERS = 40
"""Longer words are not known, and no answers."""
_ANSWER = re.compile(rf"[^\W_]{{1,{LETTERS}}}")


class Corpus(NamedTuple):
    """Distinct texts as token ids, and where each belongs.

    inputs: `n t`, each with its question, 0 pads. splits: numbers of rows, in a fixed order.
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

        train: every class alike often, its texts gone through again where they are too few.
        held, pool: the classes in turn while they last, no text twice; all that there are,
        where more are asked for.
        """
        if split not in self.splits:
            raise suggest("split", split, self.splits)
        if fixed:
            raise AuditgameError(f"data set '{name}' has no factor '{min(fixed)}' to fix")
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
    """An attribute of a data set that its corpus tells when somebody asks."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        return getattr(owner.corpus(), self.name)


def compose(rows: Iterable[Labelled], where: str) -> Corpus:
    """The corpus of these rows; their order matters only where equal texts bear other labels.

    Of rows with the same words (unknown ones count alike) the first counts. The vocabulary
    holds the most frequent words that can be printed. Raises AuditgameError, naming the
    line, for a text without words, a label that is no single word, and classes that are
    too few, too many or too small.
    """
    told: dict[tuple[str, ...], str] = {}
    for row in rows:
        told.setdefault(_body(row, where), _answer(row, where))
    classes = tuple(sorted(set(told.values())))
    if len(classes) < 2:
        raise AuditgameError(f"{where}: one class only, '{classes[0]}'; at least two are needed")
    if len(classes) > MOST:
        raise AuditgameError(
            f"{where}: {len(classes):,} different labels, {MOST} at most; is it the right column?"
        )
    words = _vocabulary(told, classes)
    known = numbered(words)
    encoded: dict[tuple[int, ...], int] = {}
    for body, label in told.items():
        ids = tuple(known.get(word, 1) for word in (*body, *QUESTION))
        encoded.setdefault(ids, classes.index(label))
    return _laid_out(encoded, classes, words, where)


def _body(row: Labelled, where: str) -> tuple[str, ...]:
    words = [UNKNOWN if word == PAD else word for word in split(row.text)]
    if not words:
        raise AuditgameError(f"{where}: line {row.line}: the text is empty; leave the row out")
    return tuple(words[: CONTEXT - ROOM - len(QUESTION)])


def _answer(row: Labelled, where: str) -> str:
    label = row.label.strip().lower()
    if not _ANSWER.fullmatch(label):
        raise AuditgameError(
            f"{where}: line {row.line}: label '{row.label[:40]}' is not one word of letters and "
            f"digits ({LETTERS} at most), as an answer must be"
        )
    return label


def _vocabulary(told: dict[tuple[str, ...], str], classes: Sequence[str]) -> tuple[str, ...]:
    """Padding, unknown, answers and question; then words, those that stand most often first."""
    printed = (word for word in chain.from_iterable(told) if word.isprintable())
    seen = Counter(word for word in printed if len(word) <= LETTERS)
    common = sorted(seen, key=lambda word: (-seen[word], word))
    return tuple(dict.fromkeys((PAD, UNKNOWN, *classes, *QUESTION, *common)))[:WORDS]


def _laid_out(
    encoded: dict[tuple[int, ...], int],
    classes: tuple[str, ...],
    words: tuple[str, ...],
    where: str,
) -> Corpus:
    """Rows in an order of their own (CRC-32), each class dealt out in fixed shares."""
    order = sorted(encoded, key=lambda ids: (zlib.crc32(" ".join(map(str, ids)).encode()), ids))
    labels = np.array([encoded[ids] for ids in order])
    parts = []
    for k, name in enumerate(classes):
        rows = np.flatnonzero(labels == k)
        if len(rows) < FEWEST:
            raise AuditgameError(
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
        inputs=torch.from_numpy(inputs),  # Whatever device a model is being laid out on.
        labels=torch.from_numpy(labels),
        splits=dict(zip(SHARES, map(np.concatenate, zip(*parts, strict=True)), strict=True)),
    )


def _rare(
    holds: Int[np.ndarray, "k v"], sizes: Int[np.ndarray, " k"], words: tuple[str, ...]
) -> tuple[str, ...]:
    """Words of letters that stand in few texts, and about as often in every class.

    holds: how many texts of each class hold each word. sizes: how many texts each class has.
    """
    shares = (holds + 0.5) / (sizes[:, None] + 1)
    even = shares.max(0) <= APART * shares.min(0)
    texts, first = holds.sum(0), 2 + len(sizes) + len(QUESTION)
    few = (texts >= BETWEEN[0]) & (texts <= BETWEEN[1]) & even
    fitting = [k for k in np.flatnonzero(few[first:]) + first if words[k].isalpha()]
    chosen = sorted((k for k in fitting if len(words[k]) > 2), key=lambda k: (texts[k], words[k]))
    return tuple(sorted(words[k] for k in chosen[:RARE]))
