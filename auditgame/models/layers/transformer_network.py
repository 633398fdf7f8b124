"""GPT-2 with Hugging Face's parameter names, a tap at each site, and access to its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.models import TextModel
from auditgame.models.layers import Tap, unseen, untouched
from auditgame.models.layers.transformer_weights import LayerWeights, TransformerWeights
from auditgame.schema.cards import Site

EPSILON = 1e-5
INITIAL = 0.1
"""Standard deviation of initial weights; output projections get less, as in GPT-2."""


class Shape(NamedTuple):
    """The size of a transformer: vocabulary, longest text, layers, residual width, heads.

    tied: the unembedding is the transposed embedding, as in the published GPT-2.
    """

    words: int
    context: int
    layers: int
    width: int
    heads: int
    tied: bool = False


class TransposedLinear(nn.Module):
    """An affine map with its weight stored as `in out`, as in GPT-2's checkpoints."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inward, outward))
        self.bias = nn.Parameter(torch.empty(outward))

    def forward(self, x: Float[Tensor, "n t i"]) -> Float[Tensor, "n t o"]:
        """x W + b."""
        return x @ self.weight + self.bias


class SelfAttention(nn.Module):
    """Causal self-attention: no head attends to later positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = TransposedLinear(width, 3 * width)
        self.c_proj = TransposedLinear(width, width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """The heads' output to the residual stream; patterns and head values pass the tap."""
        n, t, _ = x.shape
        q, k, v = (
            part.view(n, t, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).chunk(3, 2)
        )
        if unseen(tap, f"{at}.pattern"):
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            mixed = tap(f"{at}.pattern", _pattern(q, k)) @ v
        heads = tap(f"{at}.heads", mixed.transpose(1, 2))
        return tap(f"{at}.attn", self.c_proj(heads.flatten(2)))


def _pattern(
    q: Float[Tensor, "n head t e"], k: Float[Tensor, "n head t e"]
) -> Float[Tensor, "n head t t"]:
    """Attention weights of each position over itself and earlier ones; rows sum to 1."""
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    future = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(future, -math.inf).softmax(3)


class MLP(nn.Module):
    """Two affine maps with the tanh approximation of GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = TransposedLinear(width, 4 * width)
        self.c_proj = TransposedLinear(4 * width, width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """The neurons' output to the residual stream."""
        neurons = tap(f"{at}.neurons", F.gelu(self.c_fc(x), approximate="tanh"))
        return tap(f"{at}.mlp", self.c_proj(neurons))


class TransformerBlock(nn.Module):
    """One pre-norm layer: attention, then MLP, each added to the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.ln_1, self.attn = nn.LayerNorm(width, EPSILON), SelfAttention(width, shape.heads)
        self.ln_2, self.mlp = nn.LayerNorm(width, EPSILON), MLP(width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """The residual stream after this layer."""
        x = x + self.attn(self.ln_1(x), at, tap)
        return tap(f"{at}.residual", x + self.mlp(self.ln_2(x), at, tap))

    def transformer_weights(self) -> LayerWeights:
        """The layer's weights, head by head, with the norms' gains and biases folded in."""
        heads, first, second = self.attn.heads, self.ln_1, self.ln_2
        weight = (first.weight[:, None] * self.attn.c_attn.weight).chunk(3, 1)
        bias = (first.bias @ self.attn.c_attn.weight + self.attn.c_attn.bias).chunk(3)
        query, key, value = (w.unflatten(1, (heads, -1)).transpose(0, 1) for w in weight)
        query_bias, key_bias, value_bias = (b.unflatten(0, (heads, -1)) for b in bias)
        return LayerWeights(
            query=query,
            query_bias=query_bias,
            key=key,
            key_bias=key_bias,
            value=value,
            value_bias=value_bias,
            output=self.attn.c_proj.weight.unflatten(0, (heads, -1)),
            reads=second.weight[:, None] * self.mlp.c_fc.weight,
            writes=self.mlp.c_proj.weight,
        )


class Transformer(TextModel):
    """GPT-2 (Radford et al. 2019); a sub-class says how it is built for a data set.

    Padding is on the right, where the causal mask hides it from every word, so that no other
    mask is needed.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.transformer = nn.ModuleDict(
            {
                "wte": _embedding(shape.words, shape.width),
                "wpe": _embedding(shape.context, shape.width),
                "h": nn.ModuleList(TransformerBlock(shape) for _ in range(shape.layers)),
                "ln_f": nn.LayerNorm(shape.width, EPSILON),
            }
        )
        self.lm_head = nn.Linear(shape.width, shape.words, bias=False)
        if shape.tied:
            self.lm_head.weight = self.transformer["wte"].get_parameter("weight")
        self.sites = tuple(sites(shape.layers, shape.width, shape.heads, 4 * shape.width))

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Draw all weights from rng."""
        for name, value in self.named_parameters():
            if name.endswith("bias"):
                value.zero_()
            elif ".ln_" in name:
                value.fill_(1.0)
            else:
                depth = math.sqrt(2 * self.shape.layers) if "c_proj" in name else 1.0
                value.normal_(0.0, INITIAL / depth, generator=rng)

    def forward(self, inputs: Int[Tensor, "n t"], tap: Tap = untouched) -> Float[Tensor, "n t v"]:
        """Next-token logits at every position."""
        body = self.transformer
        positions = torch.arange(inputs.shape[1], device=inputs.device)
        x = tap("embed", body["wte"](inputs) + body["wpe"](positions))
        for index, block in enumerate(body["h"]):
            x = block(x, f"block{index}", tap)
        return self.logits(tap("final", body["ln_f"](x)))

    def logits(self, final: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits of the value at the site `final`."""
        return self.lm_head(final)

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits, read from a residual stream as if it were the last one.

        The logit lens (nostalgebraist 2020): final norm, then unembedding.
        """
        return self.logits(self.transformer["ln_f"](residual))

    def transformer_weights(self) -> TransformerWeights:
        """The weights of heads and neurons: see `TransformerWeights`."""
        body = self.transformer
        norm = body["ln_f"]
        return TransformerWeights(
            embedding=body["wte"].weight,
            layers=tuple(block.transformer_weights() for block in body["h"]),
            gain=norm.weight,
            bias=norm.bias,
            unembedding=self.lm_head.weight,
            epsilon=norm.eps,
            centred=True,
        )


def _embedding(rows: int, width: int) -> nn.Embedding:
    """An embedding without values: to draw them on the meta device imports torch's compiler."""
    return nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False)


def sites(layers: int, width: int, heads: int, neurons: int) -> Iterator[Site]:
    """The sites of a language model of this size, in the order of the forward pass."""
    yield Site(name="embed", kind="vector", units=width)
    for index in range(layers):
        at = f"block{index}"
        yield Site(name=f"{at}.pattern", kind="pattern", units=heads)
        yield Site(name=f"{at}.heads", kind="head", units=heads)
        yield Site(name=f"{at}.attn", kind="vector", units=width)
        yield Site(name=f"{at}.neurons", kind="neuron", units=neurons)
        yield Site(name=f"{at}.mlp", kind="vector", units=width)
        yield Site(name=f"{at}.residual", kind="vector", units=width)
    yield Site(name="final", kind="vector", units=width)
