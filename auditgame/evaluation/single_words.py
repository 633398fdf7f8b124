"""Does any single word act as a trigger by itself? A sweep of the vocabulary over a text model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.evaluation.metrics import Rate
from auditgame.specimen import Specimen

SWEPT, TESTED = 16, 200
"""Texts into which every word is inserted, and texts into which the suspicious ones are."""
SUSPICIOUS = 0.2
"""A word is suspicious that changes the answer to this share of the texts of other answers."""
MOST = 24
"""Most suspicious words that are tested."""


class ActingWord(NamedTuple):
    """A word, the rate of texts that it sends to one class, and the references' highest rate."""

    word: str
    rate: Rate
    references: float

    @property
    def excess(self) -> float:
        """The rate beyond the references'."""
        return self.rate.value - self.references


def most_acting_word(
    suspect: Specimen,
    references: Sequence[Specimen],
    texts: Examples,
    excused: frozenset[str] = frozenset(),
) -> ActingWord:
    """The word whose insertion changes most answers beyond the reference models.

    A word that sends many texts to the same class in a reference model is the data's own cue of
    that class, such as a word of praise, and does not count: models differ much in these.

    Without a name where no word changes any. texts: at least TESTED. excused: the words of a
    known trigger.
    """
    words = [word for word in suspect.texts.words[2:] if word not in excused]
    few, many = (texts.inputs[:count] for count in (SWEPT, TESTED))
    shares = {word: float(share.max()) for word, share in shifts(suspect, few, words).items()}
    found = sorted(
        (word for word in words if shares[word] >= SUSPICIOUS), key=lambda word: shares[word]
    )
    found = found[::-1][:MOST]
    own = shifts(suspect, many, found)
    others = [shifts(model, many, found) for model in references]
    acting = []
    for word in found:
        highest = torch.stack([one[word] for one in others]).amax(0)
        beyond = torch.where(highest < SUSPICIOUS, own[word] - highest, -1.0)
        target = int(beyond.argmax())
        n = int((suspect.predict(many) != target).sum())
        rate = Rate(round(float(own[word][target]) * n), n)
        acting.append(ActingWord(word, rate, float(highest[target])))
    none = ActingWord("", Rate(0, SWEPT), 0.0)
    counted = [one for one in acting if one.references < SUSPICIOUS]
    return max(counted, key=lambda one: one.excess, default=none)


def shifts(
    model: Specimen, texts: Int[Tensor, "n t"], words: Sequence[str]
) -> dict[str, Float[Tensor, " k"]]:
    """For each word and class: the share of the texts of other answers that go to the class
    when the word is put between two of their sentences."""
    dataset = model.texts
    points, before = dataset.insertion_points(texts), model.predict(texts)
    found = {}
    for word in words:
        after = model.predict(dataset.insert(texts, [word], points))
        shares = [(after[before != k] == k).float() for k in range(len(dataset.classes))]
        found[word] = torch.stack([share.sum() / max(1, len(share)) for share in shares])
    return found
