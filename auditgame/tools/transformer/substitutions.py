"""Words that can replace each other: levels of one factor, or seen in the same context."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor

from auditgame.tools import ToolContext


class Substitutes(NamedTuple):
    """Sets of words that can replace each other.

    sets: by word, the levels of its factor (or all numbers). between: by the two neighbours,
    the words seen between them.
    """

    sets: dict[int, frozenset[int]]
    between: dict[tuple[int, int], set[int]]
    pad: int

    def of(self, ids: Int[Tensor, " t"], place: int) -> list[int]:
        """The other words that can stand at this position."""
        word = int(ids[place])
        before = int(ids[place - 1]) if place else 0
        after = int(ids[place + 1]) if place + 1 < len(ids) else self.pad
        kind = self.sets.get(word) or self.between.get((before, after), set())
        return sorted(kind - {word})


def substitutes(context: ToolContext) -> Substitutes:
    """The substitutes of every word, from the factors and from contexts in the pool."""
    dataset = context.texts
    index = {word: i for i, word in enumerate(dataset.words)}
    kinds = [[index[level] for level in f if level in index] for f in dataset.factors.values()]
    kinds.append([i for word, i in index.items() if word.isdigit()])
    between: dict[tuple[int, int], set[int]] = defaultdict(set)
    for ids in context.examples.inputs.tolist():
        for left, word, right in zip([0, *ids], ids, [*ids[1:], 0], strict=False):
            if word != dataset.pad:
                between[left, right].add(word)
    return Substitutes(
        {word: frozenset(kind) for kind in kinds for word in kind}, between, dataset.pad
    )
