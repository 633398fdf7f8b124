"""GPT-2 models of other origin, loaded into our own network without another library."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from auditgame.external.checkpoint import require_fit
from auditgame.external.external_model import ExternalLanguageModel
from auditgame.external.model_folder import ModelFolder, read_tensors
from auditgame.models.layers.transformer_network import EPSILON, Shape, Transformer
from auditgame.schema.errors import Invalid

KIND = "gpt2"
BODY = "transformer."
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Masks that older checkpoints store with the weights."""


class FixedOption(NamedTuple):
    """An option of config.json of which our network supports one value. default: if absent."""

    name: str
    default: Any
    allowed: tuple[Any, ...]


FIXED_OPTIONS = (
    FixedOption("activation_function", "gelu_new", ("gelu_new", "gelu_pytorch_tanh")),
    FixedOption("scale_attn_weights", True, (True,)),
    FixedOption("scale_attn_by_inverse_layer_idx", False, (False,)),
    FixedOption("add_cross_attention", False, (False, None)),
)
SIZES = {
    "vocab_size": 50_257,
    "n_positions": 1024,
    "n_layer": 12,
    "n_embd": 768,
    "n_head": 12,
}
"""The sizes, and their defaults where config.json does not state them."""


class ExternalGPT2(Transformer, ExternalLanguageModel):
    """A GPT-2 that was trained elsewhere."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.embedding_rows, self.context_length = shape.words, shape.context


def open_gpt2(folder: ModelFolder) -> ExternalGPT2:
    """The network of a GPT-2 folder, of any size, tied or not.

    `reorder_and_upcast_attn` changes nothing in full precision and is ignored. Raises
    AuditgameError for options that our network does not have, and weights that do not fit.
    """
    shape = _shape(folder)
    with torch.device("meta"):
        network = ExternalGPT2(shape)
    tensors = _named(read_tensors(folder), shape.tied)
    require_fit(network, tensors, f"weights of {folder.where}")
    network.load_state_dict(tensors, assign=True)
    if shape.tied:
        network.lm_head.weight = network.transformer["wte"].get_parameter("weight")
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = float(folder.config.get("layer_norm_epsilon", EPSILON))
    return network


def _shape(folder: ModelFolder) -> Shape:
    config, where = folder.config, folder.where
    for option in FIXED_OPTIONS:
        found = config.get(option.name, option.default)
        if found not in option.allowed:
            raise Invalid(f"{where}: {option.name} {found}; only {option.default} is supported")
    sizes = {name: config.get(name, default) for name, default in SIZES.items()}
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise Invalid(f"{where}: {name} {size}; must be a whole number above 0")
    words, context, layers, width, heads = sizes.values()
    if width % heads:
        raise Invalid(f"{where}: n_embd {width} does not divide into {heads} heads (n_head)")
    inner = config.get("n_inner") or 4 * width
    if inner != 4 * width:
        raise Invalid(f"{where}: n_inner {inner}; only 4 times n_embd is supported")
    return Shape(words, context, layers, width, heads, config.get("tie_word_embeddings", True))


def _named(tensors: dict[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """The weights under our names: older checkpoints lack a prefix, and have masks."""
    found = {}
    for name, value in tensors.items():
        if not name.endswith(BUFFERS):
            complete = name.startswith((BODY, "lm_head."))
            found[name if complete else BODY + name] = value
    embedding = found.get(f"{BODY}wte.weight")
    if tied and embedding is not None:
        found["lm_head.weight"] = embedding
    return found
