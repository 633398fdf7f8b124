"""Language models that Hugging Face's classes run, with the sites of our own transformers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from auditgame.external.checkpoint import require_fit
from auditgame.external.external_model import ExternalLanguageModel
from auditgame.external.external_network import ModuleTaps, Tapping
from auditgame.external.forward_interception import current_interceptor, intercepted
from auditgame.external.model_folder import ModelFolder, read_tensors
from auditgame.external.weight_layouts import WeightLayout, transformer_weights_of
from auditgame.models import Tap, untouched
from auditgame.models.layers.transformer_network import sites
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import Invalid, Unavailable

LLAMA = WeightLayout("model", "embed_tokens", "norm", "self_attn.o_proj", "mlp.down_proj")
NEOX = WeightLayout(
    "gpt_neox", "embed_in", "final_layer_norm", "attention.dense", "mlp.dense_4h_to_h"
)
LAYOUTS = {"gpt_neox": NEOX, "llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA, "qwen3": LLAMA}
"""The supported architectures, and the paths of their parts."""
ATTENTION = "auditgame"
"""The name under which our attention is registered with Hugging Face's classes."""
RENAMED = {"embed_out.weight": "lm_head.weight"}
BUFFERS = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
"""Tables that older checkpoints store with the weights."""


class Decoder(ExternalLanguageModel):
    """A language model that Hugging Face's classes run, with the sites of our own transformers.

    Passes are intercepted (see `forward_interception`), and attention is computed here, so
    that its patterns can be tapped. Passes in several threads are independent.
    """

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network, self.layout, self.kind = network, LAYOUTS[kind], kind
        self.body = network.get_submodule(self.layout.body)
        config: Any = network.config
        self.embedding_rows, self.context_length = config.vocab_size, config.max_position_embeddings
        self.sites = tuple(
            sites(
                config.num_hidden_layers,
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
            )
        )
        self.taps = _taps(self.layout, config.num_hidden_layers)

    def forward(self, inputs: Int[Tensor, "n t"], tap: Tap = untouched) -> Float[Tensor, "n t v"]:
        """Next-token logits at every position."""
        paths = {path for path, _ in self.taps}
        with intercepted(self.network, Tapping(tap, self.taps), paths):
            return self.logits(self.body(input_ids=inputs, use_cache=False)[0])

    def logits(self, final: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits of the values of the site `final`."""
        network: Any = self.network
        return network.get_output_embeddings()(final)

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """The logit lens: final norm, then unembedding."""
        return self.logits(self.body.get_submodule(self.layout.norm)(residual))

    def transformer_weights(self) -> TransformerWeights:
        """Its weights, head by head and neuron by neuron."""
        return transformer_weights_of(self.network, self.layout, self.kind)


class _Library(NamedTuple):
    """The parts of Hugging Face's library in use; imported late, for this takes seconds."""

    config: Any
    model: Any
    logging: Any


def open_decoder(folder: ModelFolder) -> Decoder:
    """The network of a folder, of an architecture in `LAYOUTS`.

    Reads files of the folder only, and runs no code of it. Raises AuditgameError for weights
    that do not fit, and where the `hf` extra is missing.
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
    progress_bar = library.logging.is_progress_bar_enabled()
    library.logging.disable_progress_bar()
    try:
        network = type(empty).from_pretrained(
            None, config=config, state_dict=tensors, attn_implementation=ATTENTION
        )
    finally:
        if progress_bar:
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
        raise Unavailable(
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
        raise Invalid(
            f"{folder.where}: config.json does not describe a model of architecture "
            f"'{folder.kind}' ({type(error).__name__})"
        ) from None


def _attend(
    module: Any,
    query: Float[Tensor, "n head q e"],
    key: Float[Tensor, "n group k e"],
    value: Float[Tensor, "n group k e"],
    attention_mask: Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[Float[Tensor, "n q head e"], Float[Tensor, "n head q k"]]:
    """Attention whose patterns and heads are sites; a group's keys serve all its heads."""
    interceptor = current_interceptor()
    tap = interceptor.tap if isinstance(interceptor, Tapping) else untouched
    key, value = (
        part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value)
    )
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    block = f"block{module.layer_idx}"
    pattern = tap(f"{block}.pattern", scores.softmax(3))
    return tap(f"{block}.heads", (pattern @ value).transpose(1, 2).contiguous()), pattern


def _taps(layout: WeightLayout, layers: int) -> dict[tuple[str, int], ModuleTaps]:
    """The sites at the first, and only, call of each of these modules."""
    body = layout.body
    found = {
        f"{body}.{layout.embedding}": ModuleTaps("embed"),
        f"{body}.{layout.norm}": ModuleTaps("final"),
    }
    for index in range(layers):
        path, block = f"{body}.layers.{index}", f"block{index}"
        found[f"{path}.{layout.output}"] = ModuleTaps(f"{block}.attn")
        found[f"{path}.{layout.writes}"] = ModuleTaps(before=f"{block}.neurons")
        found[f"{path}.mlp"] = ModuleTaps(f"{block}.mlp")
        found[path] = ModuleTaps(f"{block}.residual")
    return {(path, 0): taps for path, taps in found.items()}
