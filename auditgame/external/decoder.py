"""Language models of other builds, run by Hugging Face's own classes and tapped as ours are."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from auditgame.external.checkpoint import require_fit
from auditgame.external.external_model import Reader
from auditgame.external.external_network import ModuleTaps, Tapping
from auditgame.external.forward_interception import intercepted_by, intercepting, make_interceptable
from auditgame.external.model_folder import ModelFolder, read_tensors
from auditgame.external.weight_layouts import WeightLayout, transformer_weights_of
from auditgame.models import Tap, untouched
from auditgame.models.layers.transformer_network import sites
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import AuditgameError

LLAMA = WeightLayout("model", "embed_tokens", "norm", "self_attn.o_proj", "mlp.down_proj")
NEOX = WeightLayout(
    "gpt_neox", "embed_in", "final_layer_norm", "attention.dense", "mlp.dense_4h_to_h"
)
LAYOUTS = {"gpt_neox": NEOX, "llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA, "qwen3": LLAMA}
"""The architectures that can be opened, and where each keeps its parts."""
ATTENTION = "auditgame"
"""Under this name Hugging Face's classes know our attention."""
RENAMED = {"embed_out.weight": "lm_head.weight"}
BUFFERS = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
"""Tables that older checkpoints hold beside the weights."""


class Decoder(Reader):
    """A language model that Hugging Face's classes run; its sites are those of our own.

    A thread's pass is listened to (see `listening`), and attention is computed here, in the
    open: nothing is hung on the network, so passes in several threads cannot meet.
    """

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network, self.layout, self.kind = network, LAYOUTS[kind], kind
        self.body = network.get_submodule(self.layout.body)
        config: Any = network.config
        self.rows, self.context = config.vocab_size, config.max_position_embeddings
        self.sites = tuple(
            sites(
                config.num_hidden_layers,
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
            )
        )
        self.spots = _spots(self.layout, config.num_hidden_layers)
        make_interceptable(network, {path for path, _ in self.spots})

    def forward(self, inputs: Int[Tensor, "n t"], tap: Tap = untouched) -> Float[Tensor, "n t v"]:
        """Next-token logits at every position."""
        with intercepted_by(Tapping(tap, self.spots)):
            return self.logits(self.body(input_ids=inputs, use_cache=False)[0])

    def logits(self, final: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits of what the site `final` holds."""
        network: Any = self.network
        return network.get_output_embeddings()(final)

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """The logit lens: final norm, then unembedding."""
        return self.logits(self.body.get_submodule(self.layout.norm)(residual))

    def transformer_weights(self) -> TransformerWeights:
        """What it is made of: see `organs.anatomy_of`."""
        return transformer_weights_of(self.network, self.layout, self.kind)


class _Library(NamedTuple):
    """What is needed of Hugging Face's classes, loaded late: they take seconds."""

    config: Any
    model: Any
    logging: Any


def open_decoder(folder: ModelFolder) -> Decoder:
    """The network of a folder whose architecture stands in `LAYOUTS`.

    Only what lies in the folder is read, and no code of it is run. Raises AuditgameError for
    weights that do not fit, and where the `hf` extra is missing.
    """
    library = _library(folder)
    config = _config(folder, library)
    tensors = {
        RENAMED.get(name, name): value
        for name, value in read_tensors(folder).items()
        if not name.endswith(BUFFERS)
    }
    with torch.device("meta"):
        empty = library.model.from_config(config, trust_remote_code=False)
    if config.tie_word_embeddings:
        tensors["lm_head.weight"] = tensors.get(_embedding(folder), torch.empty(0))
    require_fit(empty, tensors, f"weights of {folder.where}")
    shown = library.logging.is_progress_bar_enabled()
    library.logging.disable_progress_bar()
    try:
        network = type(empty).from_pretrained(
            None, config=config, state_dict=tensors, attn_implementation=ATTENTION
        )
    finally:
        if shown:
            library.logging.enable_progress_bar()
    return Decoder(network.eval().float(), folder.kind)


def _embedding(folder: ModelFolder) -> str:
    layout = LAYOUTS[folder.kind]
    return f"{layout.body}.{layout.embedding}.weight"


def _library(folder: ModelFolder) -> _Library:
    try:
        from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
        from transformers.masking_utils import AttentionMaskInterface, eager_mask
        from transformers.utils import logging
    except ImportError:
        raise AuditgameError(
            f"{folder.where}: architecture '{folder.kind}' needs Hugging Face's classes; "
            "install them with pip install 'auditgame[hf]'"
        ) from None
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    return _Library(AutoConfig, AutoModelForCausalLM, logging)


def _config(folder: ModelFolder, library: _Library) -> Any:
    try:
        return library.config.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise AuditgameError(f"{folder.where}: config.json is refused: {reason}") from None


def _attend(
    module: Any,
    query: Float[Tensor, "n head q e"],
    key: Float[Tensor, "n group k e"],
    value: Float[Tensor, "n group k e"],
    attention_mask: Tensor | None,
    scaling: float,
    **more: object,
) -> tuple[Float[Tensor, "n q head e"], Float[Tensor, "n head q k"]]:
    """Attention with its patterns in the open; a group's key and value serve all its heads."""
    listener = intercepting()
    tap = listener.tap if isinstance(listener, Tapping) else untouched
    key, value = (
        part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value)
    )
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    at = f"block{module.layer_idx}"
    pattern = tap(f"{at}.pattern", scores.softmax(3))
    return tap(f"{at}.heads", (pattern @ value).transpose(1, 2).contiguous()), pattern


def _spots(layout: WeightLayout, layers: int) -> dict[tuple[str, int], ModuleTaps]:
    """What is tapped at the first, and only, call of each of these modules."""
    body = layout.body
    found = {
        f"{body}.{layout.embedding}": ModuleTaps("embed"),
        f"{body}.{layout.norm}": ModuleTaps("final"),
    }
    for index in range(layers):
        path, at = f"{body}.layers.{index}", f"block{index}"
        found[f"{path}.{layout.output}"] = ModuleTaps(f"{at}.attn")
        found[f"{path}.{layout.writes}"] = ModuleTaps(before=f"{at}.neurons")
        found[f"{path}.mlp"] = ModuleTaps(f"{at}.mlp")
        found[path] = ModuleTaps(f"{at}.residual")
    return {(path, 0): spot for path, spot in found.items()}
