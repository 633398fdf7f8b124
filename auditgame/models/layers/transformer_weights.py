"""The weights of a transformer in a common form, whatever the checkpoint they come from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class LayerWeights(NamedTuple):
    """One layer's weights, with the gain and bias of the preceding norm folded in.

    On the normalised stream x, a head's query is `x @ query + query_bias`, and so on; its output
    is `(pattern @ value) @ output`. The neurons' input is `x @ reads`, their output
    `neurons @ writes`.
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
    """The weights of a language model from the embedding to the unembedding.

    gain, bias: of the final norm. centred: does the norm subtract the mean (layer norm), or
    only divide by the root mean square (RMS norm)? turned: are queries and keys rotated by
    position (rotary embedding), so that their product holds at distance 0 only?
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
        """A component of a stream, scaled as the norm scales the whole; without gain and bias.

        Components that sum to the whole give components that sum to the normalised whole.
        """
        if self.centred:
            part = part - part.mean(-1, keepdim=True)
            whole = whole - whole.mean(-1, keepdim=True)
        return part / (whole.square().mean(-1, keepdim=True) + self.epsilon).sqrt()

    def unembed_part(
        self, part: Float[Tensor, "... d"], whole: Float[Tensor, "... d"]
    ) -> Float[Tensor, "... v"]:
        """What one component of the final stream contributes to each logit.

        Direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for Transformer
        Circuits"): the final norm's scale is fixed at that of the whole stream. Components that
        sum to the stream sum to its logits, except for the contribution of the norm's bias.
        """
        return (self.normalise(part, whole) * self.gain) @ self.unembedding.T

    def head_writes(self, layer: int, heads: Float[Tensor, "n t head e"]) -> Tensor:
        """The output of each head of a layer to the residual stream, `n t head d`."""
        return torch.einsum("nthe,hed->nthd", heads, self.layers[layer].output)
