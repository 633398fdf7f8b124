"""The default language model: a two-layer GPT-2."""

from __future__ import annotations

from typing import ClassVar

import torch

from auditgame.datasets import Dataset, TextDataset
from auditgame.models.layers.deferred_init import materialise
from auditgame.models.layers.huggingface_files import huggingface_files
from auditgame.models.layers.transformer_network import Shape, Transformer

WIDTH, HEADS = 64, 4


class GPT2(Transformer):
    """A two-layer GPT-2 (Radford et al. 2019) with a separate unembedding matrix.

    Hugging Face's AutoModelForCausalLM opens its folder.
    """

    name = "gpt2"
    title = "GPT-2, two layers"
    LAYERS: ClassVar[int] = 2

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> GPT2:
        """A model for this data set's words and longest text, initialised from rng."""
        texts = TextDataset.of(dataset, f"model '{cls.name}'")
        with torch.device("meta"):
            model = cls(Shape(len(texts.words), texts.shape[0], cls.LAYERS, WIDTH, HEADS))
        materialise(model)
        if rng is not None:
            model.initialise(rng)
        return model

    def companions(self, dataset: Dataset) -> dict[str, bytes]:
        """The files that make the folder one that Hugging Face's classes open."""
        return huggingface_files(self.shape, TextDataset.of(dataset).words)
