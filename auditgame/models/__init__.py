"""The contract of a model: what is common to all, image models, and text models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.datasets import Dataset
from auditgame.models.layers import Tap, untouched
from auditgame.models.layers.canonical_form import (
    NormalisedLayer,
    recompute_statistics,
    rescale,
)
from auditgame.schema.cards import Site
from auditgame.schema.records import Modality

if TYPE_CHECKING:
    from auditgame.models.layers.transformer_weights import TransformerWeights


class Model(nn.Module, ABC):
    """A network that calls a tap at each of its sites; its forward pass keeps no state.

    The class docstring describes the architecture and lists the sites. Models derive from
    `ImageModel` or `TextModel`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    modality: ClassVar[Modality]
    sites: tuple[Site, ...]
    """In the order of the forward pass. Image sites hold `n units h w`; text sites
    `n t units` ('vector', 'neuron'), `n t head d` ('head') or `n head q k` ('pattern')."""

    @classmethod
    @abstractmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> Model:
        """A model for this data set, initialised from rng; weights left empty where it is None.

        AuditgameError where the model does not fit the data set.
        """

    @abstractmethod
    def forward(self, inputs: Tensor, tap: Tap = untouched) -> Float[Tensor, "n ..."]:
        """Class logits `n k` of images, or next-token logits `n t v` of texts."""

    def canonicalise(self, inputs: Tensor) -> None:
        """Rewrite the weights so that they tell as little as possible of how they were trained.

        inputs: ordinary ones. What the model computes may change by what statistics of so many
        inputs vary, not more.
        """

    def companions(self, dataset: Dataset) -> dict[str, bytes]:
        """Files that are stored beside model.safetensors, by name (config.json ...)."""
        return {}


class ImageModel(Model):
    """A network that classifies images."""

    modality = "image"
    map_site: str = ""
    """The site whose maps localise best, where the model has a preference."""

    def normalised_layers(self) -> Sequence[NormalisedLayer]:
        """The layers with batch normalisation, in the order of the forward pass."""
        return ()

    def canonicalise(self, inputs: Float[Tensor, "n c h w"]) -> None:
        """Statistics of these images; filters and gains of one size where that changes nothing."""
        recompute_statistics(self, inputs)
        rescale(self.normalised_layers())


class TextModel(Model):
    """A network that predicts the next token at each position of a text."""

    modality = "text"

    @abstractmethod
    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits read from a residual stream (final norm, then unembedding)."""

    @abstractmethod
    def logits(self, final: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits of the value at the site `final`, for models that have one."""

    @abstractmethod
    def transformer_weights(self) -> TransformerWeights:
        """The weights of heads and neurons, one by one."""


__all__ = ["ImageModel", "Model", "Tap", "TextModel", "untouched"]
