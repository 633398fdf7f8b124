"""The next word that a tool follows, its position, and the rival it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.schema.errors import AuditgameError, Invalid
from auditgame.tools.transformer.prompts import Prompt


class FollowedWordOptions(Prompt):
    """Options of a tool that follows one next word of a text."""

    target: str = Field(
        "",
        max_length=64,
        title="Answer",
        description="Class or word to follow; empty for the model's own answer.",
    )
    rival: str = Field(
        "",
        max_length=64,
        title="Rival",
        description="Class or word to compare with; empty for the one with the highest logit.",
        json_schema_extra={"fine": True},
    )
    place: int = Field(
        -1,
        ge=-1,
        title="Position",
        description="The word after which the answer is read, counted from 0; -1: the last.",
        json_schema_extra={"fine": True},
    )


class FollowedWord(NamedTuple):
    """A next word and its rival, by token id; `words`: both, for a title."""

    answer: int
    rival: int
    words: str


def place_in(options: FollowedWordOptions, length: int) -> int:
    """The position that the options select in a text of this length."""
    if options.place >= length:
        raise Invalid(f"place: {options.place}: choose 0 to {length - 1}, or -1")
    return options.place if options.place >= 0 else length - 1


def word_id(text: str, dataset: TextDataset, field: str) -> int:
    """The token id of a class's answer word, or of a single word of the vocabulary."""
    if text in dataset.classes:
        return dataset.answers()[dataset.classes.index(text)]
    if text in dataset.words:
        return dataset.words.index(text)
    try:
        ids = dataset.encode(text)
    except AuditgameError as error:
        raise Invalid(f"{field}: {error}") from None
    if len(ids) != 1:
        raise Invalid(f"{field}: '{text}' is {len(ids)} words; write a single one")
    return int(ids[0])


def rivals(answer: int, dataset: TextDataset) -> list[int] | None:
    """The words that an answer competes with: those of the classes, or (None) all words."""
    answers = list(dataset.answers()) if dataset.classes else []
    return answers if answer in answers and len(answers) > 1 else None


def follow(
    options: FollowedWordOptions,
    logits: Float[Tensor, " v"],
    dataset: TextDataset,
    verdict: bool = True,
) -> FollowedWord:
    """The word that the options name, or the most probable here, and its rival.

    verdict: is this the position where the text's class is read? There only the classes' answer
    words are considered, elsewhere all words.
    """
    answers = list(dataset.answers()) if verdict and len(dataset.classes) > 1 else None
    if options.target:
        answer = word_id(options.target, dataset, "target")
    else:
        answer = _most_probable(logits, answers)
    if options.rival:
        rival = word_id(options.rival, dataset, "rival")
    else:
        rival = _most_probable(_without(logits, answer), rivals(answer, dataset))
    if rival == answer:
        raise Invalid(f"rival: '{options.rival}' is the answer itself; choose another")
    vocabulary = dataset.words
    return FollowedWord(answer, rival, f"'{vocabulary[answer]}' over '{vocabulary[rival]}'")


def margin(
    logits: Float[Tensor, "n v"], answer: int, among: Sequence[int] | None
) -> Float[Tensor, " n"]:
    """The answer's logit minus the highest of its rivals."""
    others = _without(logits, answer)
    return logits[:, answer] - (others if among is None else others[:, list(among)]).amax(1)


def _without(logits: Float[Tensor, "... v"], word: int) -> Float[Tensor, "... v"]:
    others = logits.clone()
    others[..., word] = -torch.inf
    return others


def _most_probable(logits: Float[Tensor, " v"], among: list[int] | None) -> int:
    return int(logits.argmax()) if among is None else among[int(logits[among].argmax())]
