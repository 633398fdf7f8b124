"""Hugging Face folders of small random language models, and a tokenizer trained in place."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch

SHAKESPEARE = (
    "First Citizen: Before we proceed any further, hear me speak.",
    "All: Speak, speak. What would you have us do?",
    "You are all resolved rather to die than to famish?",
    "Resolved. resolved. We know it well enough.",
)
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 320,
    "max_position_embeddings": 64,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": 320, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "llama": GROUPED,
    "gpt_neox": SMALL,
    "mistral": {**GROUPED, "head_dim": 8, "sliding_window": 5},
    "qwen2": {**GROUPED, "tie_word_embeddings": True},
    "qwen3": {**GROUPED, "head_dim": 8},
}


@functools.cache
def tokenizer(size: int = 300) -> Any:
    """A bytewise tokenizer of these few lines, such as GPT-2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(SHAKESPEARE, trainer)
    return made


def network(kind: str, **options: Any) -> Any:
    """A random network of this architecture, from Hugging Face's own class."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **{**CONFIGS[kind], **options})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return made


def save(kind: str, folder: Path, **options: Any) -> Any:
    """Write a network and the tokenizer into a folder; the network itself."""
    made = network(kind, **options)
    made.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return made


def configure(folder: Path, **changes: Any) -> None:
    """Change what config.json says."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
