"""What can be read off the weights of attention heads alone? (Elhage et al. 2021)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.models.layers.transformer_weights import LayerWeights, TransformerWeights

CELLS = 8_000_000
"""So many cells of a table of words by words are held at once."""
Kind = Literal["Q", "K", "V"]
KINDS: tuple[Kind, ...] = ("Q", "K", "V")
"""What of a later head may read what an earlier one wrote: its queries, keys or values."""


class Circuit(NamedTuple):
    """A table of words by words that is never written out: `left @ right`.

    Rows are centred when they are read: what a row has in common for all its columns changes
    nothing, as a softmax follows.
    """

    left: Float[Tensor, "v e"]
    right: Float[Tensor, "e v"]

    def rows(self, words: Int[Tensor, " n"] | slice) -> Float[Tensor, "n v"]:
        """Some rows of the table."""
        found = self.left[words] @ self.right
        return found - found.mean(1, keepdim=True)


class Pairs(NamedTuple):
    """The largest cells of a circuit, in order."""

    values: Float[Tensor, " k"]
    rows: Int[Tensor, " k"]
    columns: Int[Tensor, " k"]


def writing(anatomy: TransformerWeights, layer: int, head: int) -> Circuit:
    """OV: which word, when attended to, promotes which next word, in logits?

    The head sees the word's embedding as the norm would pass it on; the final norm's scale,
    which depends on the text, is left at 1, and biases, which are the same for all, at 0.
    """
    part, seen = anatomy.layers[layer], anatomy.normalise(anatomy.embedding, anatomy.embedding)
    out = _centred(anatomy, part.output[head]) * anatomy.gain
    return Circuit(seen @ part.value[head], out @ anatomy.unembedding.T)


def reading(anatomy: TransformerWeights, layer: int, head: int) -> Circuit:
    """QK: which word (row), as query, attends to which word (column), before the softmax?

    Both seen as their embedding alone, at no place in particular.
    """
    part, seen = anatomy.layers[layer], anatomy.normalise(anatomy.embedding, anatomy.embedding)
    query = seen @ part.query[head] + part.query_bias[head]
    key = seen @ part.key[head] + part.key_bias[head]
    return Circuit(query / part.query.shape[2] ** 0.5, key.T)


def largest(
    circuit: Circuit, count: int, report: Callable[[float], None] = lambda _: None
) -> Pairs:
    """The largest cells of the whole table, read in chunks of rows."""
    size = len(circuit.left)
    step, nothing = max(1, CELLS // size), torch.empty(0, dtype=torch.long)
    best = Pairs(torch.empty(0), nothing, nothing)
    for start in range(0, size, step):
        cells = circuit.rows(slice(start, start + step))
        top = cells.flatten().topk(min(count, cells.numel()))
        place = top.indices
        found = (top.values, start + place // size, place % size)
        joined = Pairs(*(torch.cat(two) for two in zip(best, found, strict=True)))
        order = joined.values.argsort(descending=True, stable=True)[:count]
        best = Pairs(*(each[order] for each in joined))
        report(min(1.0, (start + step) / size))
    return best


def copying(anatomy: TransformerWeights) -> Float[Tensor, "layer head"]:
    """How far does each head copy? The sum of the OV circuit's eigenvalues by the sum of their
    lengths: 1 all words promote themselves, -1 all hold themselves back.

    The v x v circuit has the eigenvalues of an e x e matrix, and some zeros.
    """
    seen = anatomy.normalise(anatomy.embedding, anatomy.embedding)
    through = (anatomy.gain[:, None] * anatomy.unembedding.T) @ seen
    scores = [[_share(anatomy, through, part, h) for h in _heads(part)] for part in anatomy.layers]
    return torch.tensor(scores)


def _share(
    anatomy: TransformerWeights, through: Float[Tensor, "d d"], part: LayerWeights, head: int
) -> float:
    values = torch.linalg.eigvals(_centred(anatomy, part.output[head]) @ through @ part.value[head])
    return float(values.real.sum() / values.abs().sum().clamp(min=1e-12))


def composition(
    anatomy: TransformerWeights, early: tuple[int, int], late: tuple[int, int], kind: Kind
) -> float:
    """How much of what a later head reads could an earlier one have written?

    The Frobenius norm of the product of the two circuits by the product of their norms:
    W_OV,early with W_QK,late (as query Q, as key K) or with W_OV,late (V). Heads: (layer, head).
    """
    first, second = anatomy.layers[early[0]], anatomy.layers[late[0]]
    out = _centred(anatomy, first.output[early[1]])
    return _composed(first.value[early[1]], out, *_read(second, late[1], kind))


def _read(part: LayerWeights, head: int, kind: Kind) -> tuple[Tensor, Tensor]:
    """The two factors, `d e` and `e d`, of what a head does with what it reads as this."""
    query, key = part.query[head], part.key[head]
    if kind == "V":
        return part.value[head], part.output[head]
    return (query, key.T) if kind == "Q" else (key, query.T)


def _composed(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> float:
    """|a b c d| / (|a b| |c d|), where a and c are tall and b and d wide."""
    return float(_norm(a, (b @ c) @ d) / (_norm(a, b) * _norm(c, d)).clamp(min=1e-12))


def _norm(tall: Float[Tensor, "d e"], wide: Float[Tensor, "e d"]) -> Float[Tensor, ""]:
    """The Frobenius norm of their product, which is not written out."""
    return ((tall.T @ tall) * (wide @ wide.T)).sum().clamp(min=0).sqrt()


def chance(width: int, inner: int, rng: torch.Generator, draws: int = 20) -> float:
    """The composition score of heads whose weights are drawn at random, in the mean."""
    scores = []
    for _ in range(draws):
        a, b, c, d = torch.randn(4, width, inner, generator=rng)
        scores.append(_composed(a, b.T, c, d.T))
    return sum(scores) / draws


def _centred(anatomy: TransformerWeights, written: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """What a later norm lets through: layer norm takes the mean away."""
    return written - written.mean(1, keepdim=True) if anatomy.centred else written


def _heads(part: LayerWeights) -> range:
    return range(len(part.query))
