"""What a language model is made of: its weights, in one order and under one name each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class LayerWeights(NamedTuple):
    """One layer's weights. The gain and bias of the norm before them are folded in.

    A head reads the normalised stream x: query `x @ query + query_bias`, and so on; it writes
    `(pattern @ value) @ output`. Neurons read `x @ reads` and write `neurons @ writes`.
    """

    query: Float[Tensor, "head d e"]
    query_bias: Float[Tensor, "head e"]
    key: Float[Tensor, "head d e"]
    key_bias: Float[Tensor, "head e"]
    value: Float[Tensor, "head d e"]
    value_bias: Float[Tensor, "head e"]
    output: Float[Tensor, "head e d"]
    reads: Float[Tensor, "d m"]
    writes: Float[Tensor, "m d"]


class TransformerWeights(NamedTuple):
    """A language model from the embedding to the unembedding.

    gain, bias: of the final norm. centred: does the norm take the mean away (layer norm), or
    only divide by the length (RMS norm)? turned: are queries and keys turned by their place
    (rotary embedding), so that their product is true of neighbours at distance 0 only?
    """

    embedding: Float[Tensor, "v d"]
    layers: tuple[LayerWeights, ...]
    gain: Float[Tensor, " d"]
    bias: Float[Tensor, " d"]
    unembedding: Float[Tensor, "v d"]
    epsilon: float
    centred: bool
    turned: bool = False

    def normalise(self, part: Float[Tensor, "... d"], whole: Tensor) -> Float[Tensor, "... d"]:
        """A part of a stream, scaled as the norm scales the whole of it; gain and bias left out.

        Parts that sum to the whole have normalised parts that sum to the normalised whole.
        """
        if self.centred:
            part = part - part.mean(-1, keepdim=True)
            whole = whole - whole.mean(-1, keepdim=True)
        return part / (whole.square().mean(-1, keepdim=True) + self.epsilon).sqrt()

    def unembed_part(
        self, part: Float[Tensor, "... d"], whole: Float[Tensor, "... d"]
    ) -> Float[Tensor, "... v"]:
        """How much does one part of the final stream add to each logit?

        Direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for Transformer
        Circuits"): the final norm's scale is frozen at the whole stream's. Parts that sum to
        the stream add up to its logits, less what the norm's bias alone adds.
        """
        return (self.normalise(part, whole) * self.gain) @ self.unembedding.T

    def head_writes(self, layer: int, heads: Float[Tensor, "n t head e"]) -> Tensor:
        """What does each head of a layer write into the stream? `n t head d`"""
        return torch.einsum("nthe,hed->nthd", heads, self.layers[layer].output)
