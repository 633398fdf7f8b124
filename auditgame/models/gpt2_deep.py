"""A language model with room for steps in between: four layers."""

from __future__ import annotations

from typing import ClassVar

from auditgame.models.gpt2 import GPT2


class GPT2Deep(GPT2):
    """A four-layer GPT-2 of our own (Radford et al. 2019), else as `gpt2`.

    Its folder opens with Hugging Face's AutoModelForCausalLM.
    """

    name = "gpt2_deep"
    modality = "text"
    LAYERS: ClassVar[int] = 4
