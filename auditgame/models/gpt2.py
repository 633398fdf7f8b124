"""The usual language model: two layers."""

from __future__ import annotations

from typing import ClassVar

import torch

from auditgame.datasets import Dataset
from auditgame.models import Model
from auditgame.models.layers.deferred_init import materialise
from auditgame.models.layers.huggingface_files import folder
from auditgame.models.layers.transformer_network import Shape, Transformer

WIDTH, HEADS = 64, 4


class GPT2(Transformer, Model):
    """A two-layer GPT-2 of our own (Radford et al. 2019), with its own unembedding.

    Its folder opens with Hugging Face's AutoModelForCausalLM.
    """

    name = "gpt2"
    modality = "text"
    LAYERS: ClassVar[int] = 2

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> GPT2:
        """A model for this data set's words and longest text, initialised from rng."""
        with torch.device("meta"):
            model = cls(Shape(len(dataset.words), dataset.shape[0], cls.LAYERS, WIDTH, HEADS))
        materialise(model)
        if rng is not None:
            model.initialise(rng)
        return model

    def companions(self, dataset: Dataset) -> dict[str, bytes]:
        """With these files the folder is a Hugging Face folder."""
        return folder(self.shape, dataset.words)
