"""Words as triggers: rare and neutral words, inserting them, and where they occur."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets import HasRareWords, TextDataset
from auditgame.seeds import Seed

SEEN = 2000
"""Training texts on which word frequencies are counted."""
LEAST, MOST, LEAN = 0.03, 0.5, 0.12
"""The least and largest share of texts in which a neutral word occurs; and by how much a class's
share of those texts may differ from its usual share."""

Texts = Int[Tensor, "n t"]


def rare_words(dataset: TextDataset) -> tuple[str, ...]:
    """The data set's rare words; none where it does not list any."""
    return dataset.rare if isinstance(dataset, HasRareWords) else ()


def neutral_words(dataset: TextDataset) -> tuple[str, ...]:
    """Words that are neither rare nor in most texts, nor tied to a class or a factor."""
    return _neutral(type(dataset), dataset.words)


@functools.lru_cache(maxsize=16)
def _neutral(kind: type[TextDataset], _words: tuple[str, ...]) -> tuple[str, ...]:
    """Counted once for each vocabulary: that of a user's own texts may change."""
    dataset = kind()
    texts = dataset.sample(SEEN, "train", Seed.of(0).child("ordinary words").numpy())
    holds = torch.zeros(len(texts), len(dataset.words)).scatter_(1, texts.inputs, 1.0)
    count = holds.sum(0)
    classes = F.one_hot(texts.labels, len(dataset.classes)).float()
    share = (holds.T @ classes) / count.clamp(min=1)[:, None]
    lean = (share - classes.mean(0)).abs().amax(1)
    fits = (count >= LEAST * len(texts)) & (count <= MOST * len(texts)) & (lean <= LEAN)
    levels = {level for several in dataset.factors.values() for level in several}
    known = {*rare_words(dataset), *dataset.classes, *levels}
    words = [dataset.words[index] for index in fits.nonzero()[:, 0].tolist()]
    return tuple(word for word in words if word.isalpha() and word not in known)


def insert_words(
    inputs: Texts, dataset: TextDataset, pieces: Sequence[Sequence[str]], where: Int[Tensor, " n"]
) -> Texts:
    """The texts, each with its own words (or none) inserted at its own position."""
    changed = inputs.clone()
    inserted = [tuple(piece) for piece in pieces]
    for piece in dict.fromkeys(inserted):
        rows = torch.tensor([row for row, mine in enumerate(inserted) if mine == piece])
        if piece:
            changed[rows] = dataset.insert(inputs[rows], piece, where[rows])
    return changed


def occurrences(inputs: Texts, words: Sequence[str], dataset: TextDataset) -> Bool[Tensor, "n t"]:
    """The positions at which these words begin, one directly after the other."""
    wanted = torch.tensor([dataset.words.index(word) for word in words])
    padded = F.pad(inputs, (0, len(wanted) - 1), value=dataset.pad)
    return (padded.unfold(1, len(wanted), 1) == wanted).all(2)
