"""Pairs of texts of the same length: a clean one and a corrupt one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.schema.errors import Invalid
from auditgame.tools import ToolContext
from auditgame.tools.transformer.prompts import words
from auditgame.tools.transformer.targets import FollowedWordOptions


class TwoTexts(FollowedWordOptions):
    """Options of a tool that compares two texts position by position."""

    example: int = Field(
        -1,
        ge=-1,
        title="Example",
        description="Number of a text of the pool; -1: the first that has a partner.",
        json_schema_extra={"widget": "example"},
    )
    other: str = Field(
        "",
        max_length=2000,
        title="Other text",
        description="The corrupt one, of the same length in words; empty for the most similar text "
        "of that length in the pool, of another class where there is one.",
        json_schema_extra={"widget": "text"},
    )


class Pair(NamedTuple):
    """Two texts of the same length. asked: the options that select the clean one."""

    clean: Int[Tensor, " t"]
    corrupt: Int[Tensor, " t"]
    asked: dict[str, str | int]

    @property
    def both(self) -> Int[Tensor, "2 t"]:
        """The clean text, then the corrupt one."""
        return torch.stack([self.clean, self.corrupt])

    @property
    def first(self) -> int:
        """The first position where they differ; activations before it are the same."""
        return int((self.clean != self.corrupt).nonzero()[0])

    def labels(self, dataset: TextDataset) -> tuple[str, ...]:
        """A label for each position; where the texts differ, with both words."""
        texts = (words(self.clean.tolist(), dataset), words(self.corrupt.tolist(), dataset))
        return tuple(
            f"{place} {one}" if one == two else f"{place} {one} / {two}"
            for place, (one, two) in enumerate(zip(*texts, strict=True))
        )


def pair(options: TwoTexts, context: ToolContext) -> Pair:
    """The two texts that the options select; AuditgameError where lengths differ."""
    dataset, pool = context.texts, context.examples
    lengths = dataset.lengths(pool.inputs)
    row = -1 if options.text.strip() else _example(options, context, lengths)
    asked: dict[str, str | int] = {"text": options.text} if row < 0 else {"example": row}
    clean = dataset.encode(options.text) if row < 0 else pool.inputs[row, : int(lengths[row])]
    if options.other.strip():
        corrupt = dataset.encode(options.other)
    else:
        corrupt = _partner(clean, row, context, lengths)
    _same_length(clean, corrupt)
    return Pair(clean, corrupt, asked)


def closest(
    pool: Int[Tensor, "n t"], lengths: Int[Tensor, " n"], labels: Int[Tensor, " n"], row: int
) -> int | None:
    """The text of the pool of the same length that differs from this one in the fewest words.

    One of another class is preferred; None where no other text has this length.
    """
    apart = (pool != pool[row]).sum(1)
    fits = (lengths == lengths[row]) & (apart > 0)
    if not fits.any():
        return None
    rank = apart + pool.shape[1] * (labels == labels[row])
    return int(rank.masked_fill(~fits, 3 * pool.shape[1]).argmin())


def _same_length(clean: Int[Tensor, " t"], corrupt: Int[Tensor, " u"]) -> None:
    if len(clean) != len(corrupt):
        raise Invalid(
            f"other: the text has {len(clean)} words, the other {len(corrupt)}; both need the same "
            "length, so replace words and add none"
        )
    if torch.equal(clean, corrupt):
        raise Invalid("other: both texts are the same; change at least one word")


def _example(options: TwoTexts, context: ToolContext, lengths: Int[Tensor, " n"]) -> int:
    pool = context.examples
    if options.example >= len(pool):
        raise Invalid(f"example: {options.example} is not in the pool; choose 0 to {len(pool) - 1}")
    if options.example >= 0 or options.other.strip():
        return max(0, options.example)
    for row in range(len(pool)):
        if closest(pool.inputs, lengths, pool.labels, row) is not None:
            return row
    raise Invalid("example: no two texts of the pool have the same length; write both texts")


def _partner(
    clean: Int[Tensor, " t"], row: int, context: ToolContext, lengths: Int[Tensor, " n"]
) -> Int[Tensor, " t"]:
    pool = context.examples
    found = closest(pool.inputs, lengths, pool.labels, row) if row >= 0 else None
    if found is None:
        none = "; no other text of the pool has that length" if row >= 0 else ""
        raise Invalid(
            f"other: write the second text with {len(clean)} words, as many as the first{none}"
        )
    return pool.inputs[found, : len(clean)]
