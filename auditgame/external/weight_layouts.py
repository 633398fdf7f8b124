"""Layouts of external language models: the paths of their parts, and their weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.models.layers.transformer_weights import LayerWeights, TransformerWeights
from auditgame.schema.errors import Invalid


class WeightLayout(NamedTuple):
    """Paths of modules.

    body: within the network. embedding, norm (the last one): within the body. output, writes:
    the output projections of heads and of neurons, within a layer.
    """

    body: str
    embedding: str
    norm: str
    output: str
    writes: str


def transformer_weights_of(network: Any, layout: WeightLayout, kind: str) -> TransformerWeights:
    """The weights of heads and neurons, one by one.

    Heads that share a key and a value each get a copy. A gated neuron has two input vectors;
    `reads` is its gate's. Raises AuditgameError where queries and keys have norms of their
    own, since no matrix gives their product then.
    """
    body, config = network.get_submodule(layout.body), network.config
    norm = body.get_submodule(layout.norm)
    make = _neox if kind == "gpt_neox" else _llama
    return TransformerWeights(
        embedding=body.get_submodule(layout.embedding).weight,
        layers=tuple(make(layer, config.num_attention_heads) for layer in body.layers),
        gain=norm.weight,
        bias=_bias(norm, norm.weight),
        unembedding=network.get_output_embeddings().weight,
        epsilon=_epsilon(norm),
        centred=isinstance(norm, nn.LayerNorm),
        turned=True,
    )


class _InputWeights(NamedTuple):
    """Input weights and biases of heads, with the norm before them folded in."""

    weight: Float[Tensor, "head d e"]
    bias: Float[Tensor, "head e"]


def _input_weights(
    norm: Any, weight: Float[Tensor, "o d"], bias: Tensor, heads: int
) -> _InputWeights:
    folded = weight @ _bias(norm, norm.weight) + bias
    parts = (weight * norm.weight).unflatten(0, (heads, -1)).transpose(1, 2)
    return _InputWeights(parts, folded.unflatten(0, (heads, -1)))


def _llama(layer: Any, heads: int) -> LayerWeights:
    attention, first, second = (
        layer.self_attn,
        layer.input_layernorm,
        layer.post_attention_layernorm,
    )
    if hasattr(attention, "q_norm"):
        raise Invalid(
            "model 'external': its queries and keys are normalised once more, so that no matrix "
            "gives the words that its heads match"
        )
    size = attention.head_dim
    read = []
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        count = linear.out_features // size
        found = _input_weights(first, linear.weight, _bias(linear, linear.weight[:, 0]), count)
        read.append(_InputWeights(*(part.repeat_interleave(heads // count, 0) for part in found)))
    return _layer(
        read,
        attention.o_proj,
        layer.mlp.gate_proj.weight * second.weight,
        layer.mlp.down_proj,
    )


def _neox(layer: Any, heads: int) -> LayerWeights:
    joined, second = layer.attention.query_key_value, layer.post_attention_layernorm
    bias = _bias(joined, joined.weight[:, 0])
    weights = joined.weight.unflatten(0, (heads, 3, -1)).unbind(1)
    biases = bias.unflatten(0, (heads, 3, -1)).unbind(1)
    read = [
        _input_weights(layer.input_layernorm, weight.flatten(0, 1), bias.flatten(), heads)
        for weight, bias in zip(weights, biases, strict=True)
    ]
    reads = layer.mlp.dense_h_to_4h.weight * second.weight
    return _layer(read, layer.attention.dense, reads, layer.mlp.dense_4h_to_h)


def _layer(
    read: list[_InputWeights], output: nn.Linear, reads: Float[Tensor, "m d"], writes: nn.Linear
) -> LayerWeights:
    query, key, value = read
    heads = len(query.weight)
    return LayerWeights(
        query=query.weight,
        query_bias=query.bias,
        key=key.weight,
        key_bias=key.bias,
        value=value.weight,
        value_bias=value.bias,
        output=output.weight.T.unflatten(0, (heads, -1)),
        reads=reads.T,
        writes=writes.weight.T,
    )


def _bias(module: Any, like: Tensor) -> Tensor:
    found = getattr(module, "bias", None)
    return torch.zeros_like(like) if found is None else found


def _epsilon(norm: Any) -> float:
    return float(norm.eps if isinstance(norm, nn.LayerNorm) else norm.variance_epsilon)
