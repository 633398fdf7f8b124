"""OV and QK circuits, copying and composition scores of heads. (Elhage et al. 2021)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.models.layers.transformer_weights import LayerWeights, TransformerWeights

CELLS = 8_000_000
"""Cells of a word-by-word matrix held at once, at most."""
Kind = Literal["Q", "K", "V"]
KINDS: tuple[Kind, ...] = ("Q", "K", "V")
"""Which input of a later head reads an earlier head's output: query, key or value."""


class Circuit(NamedTuple):
    """A word-by-word matrix `left @ right` that is never materialised.

    Rows are centred when read: a constant added to a row changes nothing, as a softmax follows.
    """

    left: Float[Tensor, "v e"]
    right: Float[Tensor, "e v"]

    def rows(self, words: Int[Tensor, " n"] | slice) -> Float[Tensor, "n v"]:
        """Some rows, centred."""
        found = self.left[words] @ self.right
        return found - found.mean(1, keepdim=True)


class Pairs(NamedTuple):
    """The largest cells of a circuit, in order."""

    values: Float[Tensor, " k"]
    rows: Int[Tensor, " k"]
    columns: Int[Tensor, " k"]


def ov_circuit(weights: TransformerWeights, layer: int, head: int) -> Circuit:
    """OV circuit: which next word each attended word promotes, in logits.

    The head reads the word's normalised embedding; the final norm's scale,
    which depends on the text, is taken as 1, and biases, which are the same for all, as 0.
    """
    part, seen = weights.layers[layer], weights.normalise(weights.embedding, weights.embedding)
    out = _centred(weights, part.output[head]) * weights.gain
    return Circuit(seen @ part.value[head], out @ weights.unembedding.T)


def qk_circuit(weights: TransformerWeights, layer: int, head: int) -> Circuit:
    """QK circuit: attention score of each query word (row) and key word (column).

    Before the softmax; both words as their embedding alone, without position.
    """
    part, seen = weights.layers[layer], weights.normalise(weights.embedding, weights.embedding)
    query = seen @ part.query[head] + part.query_bias[head]
    key = seen @ part.key[head] + part.key_bias[head]
    return Circuit(query / part.query.shape[2] ** 0.5, key.T)


def largest(
    circuit: Circuit, count: int, report: Callable[[float], None] = lambda _: None
) -> Pairs:
    """The largest cells of the whole matrix, read in chunks of rows."""
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


def copying_scores(weights: TransformerWeights) -> Float[Tensor, "layer head"]:
    """Copying score of each head: sum of the OV circuit's eigenvalues over their magnitudes'.

    1: all words promote themselves; -1: all suppress themselves. The v x v circuit has the
    eigenvalues of an e x e matrix, and zeros.
    """
    seen = weights.normalise(weights.embedding, weights.embedding)
    through = (weights.gain[:, None] * weights.unembedding.T) @ seen
    scores = [[_share(weights, through, part, h) for h in _heads(part)] for part in weights.layers]
    return torch.tensor(scores)


def _share(
    weights: TransformerWeights, through: Float[Tensor, "d d"], part: LayerWeights, head: int
) -> float:
    values = torch.linalg.eigvals(_centred(weights, part.output[head]) @ through @ part.value[head])
    return float(values.real.sum() / values.abs().sum().clamp(min=1e-12))


def composition(
    weights: TransformerWeights, early: tuple[int, int], late: tuple[int, int], kind: Kind
) -> float:
    """Composition score of two heads: how much of the later one's input the earlier could write.

    The Frobenius norm of the product of the two circuits over the product of their norms:
    W_OV,early with W_QK,late (as query Q, as key K) or with W_OV,late (V). Heads: (layer, head).
    """
    first, second = weights.layers[early[0]], weights.layers[late[0]]
    out = _centred(weights, first.output[early[1]])
    return _composed(first.value[early[1]], out, *_read(second, late[1], kind))


def _read(part: LayerWeights, head: int, kind: Kind) -> tuple[Tensor, Tensor]:
    """The two factors, `d e` and `e d`, of the circuit that this input enters."""
    query, key = part.query[head], part.key[head]
    if kind == "V":
        return part.value[head], part.output[head]
    return (query, key.T) if kind == "Q" else (key, query.T)


def _composed(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> float:
    """|a b c d| / (|a b| |c d|), where a and c are tall and b and d wide."""
    return float(_norm(a, (b @ c) @ d) / (_norm(a, b) * _norm(c, d)).clamp(min=1e-12))


def _norm(tall: Float[Tensor, "d e"], wide: Float[Tensor, "e d"]) -> Float[Tensor, ""]:
    """The Frobenius norm of their product, which is not materialised."""
    return ((tall.T @ tall) * (wide @ wide.T)).sum().clamp(min=0).sqrt()


def random_composition(width: int, inner: int, rng: torch.Generator, draws: int = 20) -> float:
    """Mean composition score of heads with random weights."""
    scores = []
    for _ in range(draws):
        a, b, c, d = torch.randn(4, width, inner, generator=rng)
        scores.append(_composed(a, b.T, c, d.T))
    return sum(scores) / draws


def _centred(weights: TransformerWeights, written: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """What a later norm passes on: layer norm subtracts the mean."""
    return written - written.mean(1, keepdim=True) if weights.centred else written


def _heads(part: LayerWeights) -> range:
    return range(len(part.query))
