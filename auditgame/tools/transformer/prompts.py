"""The text that a tool reads: written, or taken from the pool."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.tools import ToolContext

LOGITS = 2**24
"""Next-word logits of one pass, at most (64 MB)."""


class Prompt(Record):
    """Options of a tool that reads one text: a written one, or an example of the pool."""

    text: str = Field(
        "",
        max_length=2000,
        title="Text",
        description="The text to read; empty for the example below.",
        json_schema_extra={"widget": "text"},
    )
    example: int = Field(
        0,
        ge=0,
        title="Example",
        description="Number of a text of the pool.",
        json_schema_extra={"widget": "example"},
    )


def prompts(options: Prompt, context: ToolContext, count: int = 1) -> Int[Tensor, "n t"]:
    """The written text, or `count` texts of the pool from the example on, padded."""
    if options.text.strip():
        return context.texts.encode(options.text)[None]
    pool = context.examples.inputs
    if options.example >= len(pool):
        raise Invalid(f"example: {options.example} is not in the pool; choose 0 to {len(pool) - 1}")
    return pool[options.example : options.example + count]


def prompt(options: Prompt, context: ToolContext) -> Int[Tensor, " t"]:
    """The one text, without padding."""
    ids = prompts(options, context)
    return ids[0, : int(context.texts.lengths(ids))]


def asked(options: Prompt) -> dict[str, str | int]:
    """The options that select the same text in another tool."""
    return {"text": options.text} if options.text.strip() else {"example": options.example}


def labels(ids: Int[Tensor, " t"], dataset: TextDataset) -> tuple[str, ...]:
    """A label for each position of a text, its number and word, for the axis of a grid."""
    return tuple(f"{place} {word}" for place, word in enumerate(words(ids.tolist(), dataset)))


def words(ids: Sequence[int], dataset: TextDataset) -> tuple[str, ...]:
    """The words of these ids."""
    return tuple(dataset.words[index] for index in ids)


def batch(inputs: Int[Tensor, "n t"], dataset: TextDataset, most: int = 96) -> int:
    """How many of these texts one pass takes: fewer where the vocabulary is large."""
    return max(1, min(most, LOGITS // (inputs.shape[1] * len(dataset.words))))
