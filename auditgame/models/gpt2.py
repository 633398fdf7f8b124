"""A small GPT-2 of our own, whose parameters carry Hugging Face's names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Dataset
from auditgame.models import Model, Tap, untouched
from auditgame.types import Site

LAYERS, WIDTH, HEADS = 2, 64, 4
EPSILON = 1e-5
INITIAL = 0.1
"""Standard deviation of fresh weights; writers into the stream get less, as in GPT-2."""


class Linear(nn.Module):
    """An affine map with its weight stored `in out`, as GPT-2's checkpoints do."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inward, outward))
        self.bias = nn.Parameter(torch.empty(outward))

    def forward(self, x: Float[Tensor, "n t i"]) -> Float[Tensor, "n t o"]:
        """x W + b."""
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Causal self-attention; each head reads earlier positions only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_attn = Linear(width, 3 * width)
        self.c_proj = Linear(width, width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """What the heads write into the stream; patterns and head values pass the tap."""
        n, t, _ = x.shape
        q, k, v = (
            part.view(n, t, HEADS, -1).transpose(1, 2) for part in self.c_attn(x).chunk(3, 2)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        future = torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1)
        pattern = tap(f"{at}.pattern", scores.masked_fill(future, -math.inf).softmax(3))
        heads = tap(f"{at}.heads", (pattern @ v).transpose(1, 2))
        return tap(f"{at}.attn", self.c_proj(heads.reshape(n, t, -1)))


class MLP(nn.Module):
    """Two affine maps with the tanh form of GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = Linear(width, 4 * width)
        self.c_proj = Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """What the neurons write into the stream."""
        neurons = tap(f"{at}.neurons", F.gelu(self.c_fc(x), approximate="tanh"))
        return tap(f"{at}.mlp", self.c_proj(neurons))


class Block(nn.Module):
    """One layer: attention, then neurons, each reading the normalised stream and adding to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width, EPSILON), Attention(width)
        self.ln_2, self.mlp = nn.LayerNorm(width, EPSILON), MLP(width)

    def forward(self, x: Float[Tensor, "n t d"], at: str, tap: Tap) -> Float[Tensor, "n t d"]:
        """The stream after this layer."""
        x = x + self.attn(self.ln_1(x), at, tap)
        return tap(f"{at}.residual", x + self.mlp(self.ln_2(x), at, tap))


class GPT2(Model):
    """A two-layer GPT-2 (Radford et al. 2019), pre-norm, with its own unembedding.

    Its folder opens with Hugging Face's AutoModelForCausalLM. Padding stands on the right,
    where the causal mask keeps it from every word, so no further mask is needed.
    """

    name = "gpt2"
    modality = "text"

    def __init__(self, words: int, context: int) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(words, WIDTH),
                "wpe": nn.Embedding(context, WIDTH),
                "h": nn.ModuleList(Block(WIDTH) for _ in range(LAYERS)),
                "ln_f": nn.LayerNorm(WIDTH, EPSILON),
            }
        )
        self.lm_head = nn.Linear(WIDTH, words, bias=False)
        self.sites = tuple(_sites())

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> GPT2:
        """A model for this data set's words and longest text, initialised from rng."""
        with torch.device("meta"):
            model = cls(len(dataset.words), dataset.shape[0])
        model.to_empty(device="cpu")
        if rng is not None:
            model._initialise(rng)
        return model

    @torch.no_grad()
    def _initialise(self, rng: torch.Generator) -> None:
        for name, value in self.named_parameters():
            if name.endswith("bias"):
                value.zero_()
            elif ".ln_" in name:
                value.fill_(1.0)
            else:
                depth = math.sqrt(2 * LAYERS) if "c_proj" in name else 1.0
                value.normal_(0.0, INITIAL / depth, generator=rng)

    def forward(self, inputs: Int[Tensor, "n t"], tap: Tap = untouched) -> Float[Tensor, "n t v"]:
        """Next-token logits at every position."""
        body = self.transformer
        places = torch.arange(inputs.shape[1], device=inputs.device)
        x = tap("embed", body["wte"](inputs) + body["wpe"](places))
        for index, block in enumerate(body["h"]):
            x = block(x, f"block{index}", tap)
        return self.lm_head(tap("final", body["ln_f"](x)))

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Which next word would the stream give, read as if this were the last layer?

        The logit lens (nostalgebraist 2020): final norm, then unembedding.
        """
        return self.lm_head(self.transformer["ln_f"](residual))

    def unembed_part(
        self, part: Float[Tensor, "... d"], whole: Float[Tensor, "... d"]
    ) -> Float[Tensor, "... v"]:
        """How much does one part of the final stream add to each logit?

        Direct logit attribution (Elhage et al. 2021): the final norm's scale is frozen at the
        whole stream's, so parts that sum to it have logits that sum to `unembed(whole)`, less
        the norm's constant `unembed_part(0, whole)` is without: its bias, unembedded.
        """
        norm = self.transformer["ln_f"]
        scale = (whole.var(-1, unbiased=False, keepdim=True) + EPSILON).sqrt()
        centred = part - part.mean(-1, keepdim=True)
        return self.lm_head(centred / scale * norm.weight)

    def head_writes(
        self, block: int, heads: Float[Tensor, "n t head d"]
    ) -> Float[Tensor, "n t head width"]:
        """What does each head write into the stream, given its value at `block{i}.heads`?"""
        out = self.transformer["h"][block].attn.c_proj.weight.view(HEADS, -1, WIDTH)
        return torch.einsum("nthd,hdw->nthw", heads, out)

    def companions(self, dataset: Dataset) -> dict[str, bytes]:
        """config.json and a word-level tokenizer: with them the folder is a Hugging Face folder."""
        files = {
            "config.json": _config(dataset),
            "tokenizer.json": _tokenizer(dataset),
            "tokenizer_config.json": _tokenizer_config(dataset),
        }
        return {
            name: json.dumps(data, indent=1, sort_keys=True).encode()
            for name, data in files.items()
        }


def _sites() -> Iterator[Site]:
    yield Site(name="embed", kind="vector", units=WIDTH)
    for index in range(LAYERS):
        at = f"block{index}"
        yield Site(name=f"{at}.pattern", kind="pattern", units=HEADS)
        yield Site(name=f"{at}.heads", kind="head", units=HEADS)
        yield Site(name=f"{at}.attn", kind="vector", units=WIDTH)
        yield Site(name=f"{at}.neurons", kind="neuron", units=4 * WIDTH)
        yield Site(name=f"{at}.mlp", kind="vector", units=WIDTH)
        yield Site(name=f"{at}.residual", kind="vector", units=WIDTH)
    yield Site(name="final", kind="vector", units=WIDTH)


def _config(dataset: Dataset) -> dict[str, object]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": len(dataset.words),
        "n_positions": dataset.shape[0],
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": EPSILON,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": False,
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }


def _tokenizer(dataset: Dataset) -> dict[str, object]:
    special = {
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "single_word": False,
        "special": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": dataset.words[index]} | special for index in (0, 1)
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(dataset.words)},
            "unk_token": dataset.words[1],
        },
    }


def _tokenizer_config(dataset: Dataset) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": dataset.shape[0],
        "padding_side": "right",
        "pad_token": dataset.words[0],
        "unk_token": dataset.words[1],
    }
