"""A deeper language model: a four-layer GPT-2."""

from __future__ import annotations

from typing import ClassVar

from auditgame.models.gpt2 import GPT2


class GPT2Deep(GPT2):
    """A four-layer GPT-2 (Radford et al. 2019), otherwise as `gpt2`.

    Hugging Face's AutoModelForCausalLM opens its folder.
    """

    name = "gpt2_deep"
    title = "GPT-2, four layers"
    LAYERS: ClassVar[int] = 4
