"""The language models that are raced: a clean sibling of reviews, and one of GPT-2's size."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.bundles.reference_models import read_references
from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.datasets.texts.vocabulary import WholeWordTexts
from auditgame.models.layers.transformer_network import Shape, Transformer
from auditgame.registry import load
from auditgame.specimen import Specimen

DATASET, MODEL = "reviews", "gpt2"
GPT2 = Shape(words=50_257, context=1024, layers=12, width=768, heads=12, tied=True)
"""The published GPT-2 (Radford et al. 2019): 124 million weights."""


class Numbers(WholeWordTexts):
    """Words that are numbers, as many as GPT-2 has tokens; no classes, nothing to draw."""

    name = "numbers"
    licence = "CC0-1.0"
    classes = ()
    shape = (GPT2.context,)
    words = tuple(f"n{number}" for number in range(GPT2.words))

    def sample(self, n: int, split: str, rng: Any, **fixed: object) -> Examples:
        """Random texts of 32 words, all of one class."""
        return Examples(
            torch.from_numpy(rng.integers(2, GPT2.words, (n, 32))), torch.zeros(n, dtype=torch.long)
        )

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """The numbers of the words, less their letter."""
        return torch.tensor([int(word.removeprefix("n")) for word in text.split()])

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The words of the numbers."""
        return " ".join(self.words[index] for index in ids.tolist() if index != self.pad)

    def answers(self) -> tuple[int, ...]:
        """None: it has no classes."""
        return ()


class Large(Transformer):
    """GPT-2 with random weights."""

    name = "large"

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> Large:
        """Of the published size, with this data set's words."""
        with torch.device("meta"):
            model = cls(GPT2._replace(words=len(TextDataset.of(dataset).words)))
        model.to_empty(device="cpu")
        model.lm_head.weight = model.transformer["wte"].weight
        if rng is not None:
            model.initialise(rng)
        return model


def small() -> Specimen:
    """A clean sibling."""
    return read_references(DATASET, MODEL, load("dataset", DATASET)())[0]


def large() -> Specimen:
    """A model of GPT-2's size, drawn at random."""
    data = Numbers()
    return Specimen(Large.build(data, torch.Generator().manual_seed(0)), data)


def hooked(model: Transformer) -> Any:
    """The same weights as a HookedTransformer of TransformerLens 3, nothing folded in."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    shape = model.shape
    config = HookedTransformerConfig(
        n_layers=shape.layers,
        d_model=shape.width,
        n_ctx=shape.context,
        d_head=shape.width // shape.heads,
        n_heads=shape.heads,
        d_vocab=shape.words,
        act_fn="gelu_new",
        normalization_type="LN",
        eps=1e-5,
        device="cpu",
    )
    found = HookedTransformer(config)
    found.load_and_process_state_dict(
        convert_gpt2_weights(model, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
        refactor_factored_attn_matrices=False,
    )
    return found.eval().requires_grad_(False)
