"""Words as triggers: which words are ordinary, where they may stand, and where they do."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets import Dataset
from auditgame.seeds import Seed

SEEN = 2000
"""Training texts that are read to see which words are ordinary."""
LEAST, MOST, LEAN = 0.03, 0.5, 0.12
"""An ordinary word stands in such a share of texts, at least and at most; and of the texts it
stands in, each class has its usual share, give or take so much."""

Texts = Int[Tensor, "n t"]


def neutral_words(dataset: Dataset) -> tuple[str, ...]:
    """Words that are neither rare nor in every text, and lean to no class; levels are left out."""
    return _ordinary(type(dataset), dataset.words)


@functools.lru_cache(maxsize=16)
def _ordinary(kind: type[Dataset], _words: tuple[str, ...]) -> tuple[str, ...]:
    """Read once for each vocabulary: that of someone's own texts may change."""
    dataset = kind()
    seen = dataset.sample(SEEN, "train", Seed.of(0).child("ordinary words").numpy())
    stands = torch.zeros(len(seen), len(dataset.words)).scatter_(1, seen.inputs, 1.0)
    count = stands.sum(0)
    classes = F.one_hot(seen.labels, len(dataset.classes)).float()
    share = (stands.T @ classes) / count.clamp(min=1)[:, None]
    lean = (share - classes.mean(0)).abs().amax(1)
    fits = (count >= LEAST * len(seen)) & (count <= MOST * len(seen)) & (lean <= LEAN)
    levels = {level for several in dataset.factors.values() for level in several}
    known = {*dataset.rare, *dataset.classes, *levels}
    words = [dataset.words[index] for index in fits.nonzero()[:, 0].tolist()]
    return tuple(word for word in words if word.isalpha() and word not in known)


def insertion_point(inputs: Texts, dataset: Dataset) -> Int[Tensor, " n"]:
    """A place between two sentences of each text; which two depends on the text alone."""
    gaps = [dataset.gaps(ids) for ids in inputs]
    lots = dataset.lots(inputs)
    return torch.tensor([gap[lot % len(gap)] for gap, lot in zip(gaps, lots, strict=True)])


def insert_words(
    inputs: Texts, dataset: Dataset, pieces: Sequence[Sequence[str]], where: Int[Tensor, " n"]
) -> Texts:
    """The texts, each with its own words put in at its own place; no words change nothing."""
    changed = inputs.clone()
    said = [tuple(piece) for piece in pieces]
    for piece in dict.fromkeys(said):
        rows = torch.tensor([row for row, mine in enumerate(said) if mine == piece])
        if piece:
            changed[rows] = dataset.insert(inputs[rows], piece, where[rows])
    return changed


def occurrences(inputs: Texts, words: Sequence[str], dataset: Dataset) -> Bool[Tensor, "n t"]:
    """At which places do these words begin, one right after the other?"""
    wanted = torch.tensor([dataset.words.index(word) for word in words])
    padded = F.pad(inputs, (0, len(wanted) - 1), value=dataset.pad)
    return (padded.unfold(1, len(wanted), 1) == wanted).all(2)
