"""The files with which Hugging Face's classes open a folder that holds a GPT-2."""

from __future__ import annotations

import json
from collections.abc import Sequence

from auditgame.models.layers.transformer_network import EPSILON, Shape


def huggingface_files(shape: Shape, words: Sequence[str]) -> dict[str, bytes]:
    """config.json and a word-level tokenizer, by file name. Word 0 is padding, word 1 unknown."""
    files = {
        "config.json": _config(shape),
        "tokenizer.json": _tokenizer(words),
        "tokenizer_config.json": _tokenizer_config(shape, words),
    }
    return {
        name: json.dumps(data, indent=1, sort_keys=True).encode() for name, data in files.items()
    }


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.words,
        "n_positions": shape.context,
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": EPSILON,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": shape.tied,
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }


def _tokenizer(words: Sequence[str]) -> dict[str, object]:
    special = {
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "single_word": False,
        "special": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": words[index]} | special for index in (0, 1)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(words)},
            "unk_token": words[1],
        },
    }


def _tokenizer_config(shape: Shape, words: Sequence[str]) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.context,
        "padding_side": "right",
        "pad_token": words[0],
        "unk_token": words[1],
    }
