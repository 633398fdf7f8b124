"""What architecture is on the table? One file per model; this is what each must offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.datasets import Dataset
from auditgame.models.layers import Tap, untouched
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality


class Model(nn.Module, ABC):
    """A network that calls a tap at every site. In evaluation its forward pass has no state."""

    name: ClassVar[str]
    modality: ClassVar[Modality]
    sites: tuple[Site, ...]
    """In the order of the forward pass. Image sites hold `n units h w`; text sites
    `n t units` ('vector', 'neuron'), `n t head d` ('head') or `n head q k` ('pattern')."""
    map_site: str = ""
    """Image only: the site whose maps say best where something is, if the model has an opinion."""

    @classmethod
    @abstractmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> Model:
        """A model for this data set, initialised from rng; weights left empty where it is None."""

    @abstractmethod
    def forward(self, inputs: Tensor, tap: Tap = untouched) -> Float[Tensor, "n ..."]:
        """Class logits `n k` for images, next-token logits `n t v` for text."""

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Text only: next-token logits read off a residual stream."""
        raise AuditgameError(f"model '{self.name}' has no unembedding: it reads no text")

    def logits(self, final: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Text only: next-token logits of what the site `final` holds, if the model has one."""
        raise AuditgameError(f"model '{self.name}' has no unembedding: it reads no text")

    def transformer_weights(self) -> TransformerWeights:
        """Text only: the weights of heads and neurons, one by one."""
        raise AuditgameError(f"model '{self.name}' has no attention heads: it reads no text")

    def companions(self, dataset: Dataset) -> dict[str, bytes]:
        """Files that stand beside model.safetensors, by name (config.json ...)."""
        return {}


__all__ = ["Model", "Tap", "untouched"]
