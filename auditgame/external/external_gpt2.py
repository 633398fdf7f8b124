"""Other people's GPT-2 in our own network: no other library is needed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from auditgame.external.checkpoint import require_fit
from auditgame.external.external_model import Reader
from auditgame.external.model_folder import ModelFolder, read_tensors
from auditgame.models.layers.transformer_network import EPSILON, Shape, Transformer
from auditgame.schema.errors import AuditgameError

KIND = "gpt2"
BODY = "transformer."
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Masks that older checkpoints hold beside the weights."""


class ExpectedTensor(NamedTuple):
    """An option of config.json that our network has in one form only."""

    name: str
    usual: Any
    allowed: tuple[Any, ...]


ONE_FORM = (
    ExpectedTensor("activation_function", "gelu_new", ("gelu_new", "gelu_pytorch_tanh")),
    ExpectedTensor("scale_attn_weights", True, (True,)),
    ExpectedTensor("scale_attn_by_inverse_layer_idx", False, (False,)),
    ExpectedTensor("add_cross_attention", False, (False, None)),
)
SIZES = {
    "vocab_size": 50_257,
    "n_positions": 1024,
    "n_layer": 12,
    "n_embd": 768,
    "n_head": 12,
}
"""The sizes, and what Hugging Face takes where config.json is silent."""


class ExternalGPT2(Transformer, Reader):
    """A GPT-2 that somebody else trained."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.rows, self.context = shape.words, shape.context


def open_gpt2(folder: ModelFolder) -> ExternalGPT2:
    """The network of a GPT-2 folder, of any size, tied or not.

    `reorder_and_upcast_attn` changes nothing in full precision and is passed over. Raises
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
    for option in ONE_FORM:
        found = config.get(option.name, option.usual)
        if found not in option.allowed:
            raise AuditgameError(
                f"{where}: {option.name} {found}; only {option.usual} can be opened"
            )
    sizes = {name: config.get(name, usual) for name, usual in SIZES.items()}
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise AuditgameError(f"{where}: {name} {size}; must be a whole number above 0")
    words, context, layers, width, heads = sizes.values()
    if width % heads:
        raise AuditgameError(f"{where}: n_embd {width} does not divide into {heads} heads (n_head)")
    inner = config.get("n_inner") or 4 * width
    if inner != 4 * width:
        raise AuditgameError(f"{where}: n_inner {inner}; only 4 times n_embd can be opened")
    return Shape(words, context, layers, width, heads, config.get("tie_word_embeddings", True))


def _named(tensors: dict[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """The weights under our names: older checkpoints leave a word out, and hold masks."""
    found = {}
    for name, value in tensors.items():
        if not name.endswith(BUFFERS):
            plain = name.startswith((BODY, "lm_head."))
            found[name if plain else BODY + name] = value
    embedding = found.get(f"{BODY}wte.weight")
    if tied and embedding is not None:
        found["lm_head.weight"] = embedding
    return found
