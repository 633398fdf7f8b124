"""Previews of a claim: inputs before and after it, with the model's answers where known."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Tile, Tokens
from auditgame.schema.claims import AppliedClaim

PICTURES, TEXTS = 8, 6
"""The most that are shown."""


class BeforeAfter(NamedTuple):
    """Inputs before and after a claim was applied to them.

    targets: the class that each should be given. names: of the inputs, where they have any.
    """

    plain: Examples
    changed: Tensor
    targets: Int[Tensor, " n"]
    names: tuple[str, ...] = ()


def preview(examples: Examples, applied: AppliedClaim, names: Sequence[str] = ()) -> BeforeAfter:
    """The examples to which the claim applies, before and after it."""
    rows = (applied.targets >= 0).nonzero()[:, 0]
    chosen = tuple(names[row] for row in rows.tolist()) if names else ()
    changed = applied.examples.inputs[rows]
    return BeforeAfter(examples.take(rows), changed, applied.targets[rows], chosen)


class Answers(NamedTuple):
    """A model's classes for the same inputs, before and after."""

    before: Int[Tensor, " n"]
    after: Int[Tensor, " n"]


def preview_exhibits(
    changes: BeforeAfter, dataset: Dataset, answers: Answers | None = None
) -> list[Exhibit]:
    """The first few inputs, each before and after, with the answers or else the claimed class."""
    if not isinstance(dataset, TextDataset):
        return [_gallery(changes, dataset, answers)]
    return [
        _text(row, changes, dataset, answers) for row in range(min(TEXTS, len(changes.targets)))
    ]


def _name(row: int, changes: BeforeAfter) -> str:
    return changes.names[row] if changes.names else ""


def _gallery(changes: BeforeAfter, dataset: Dataset, answers: Answers | None) -> Gallery:
    tiles = []
    for row in range(min(PICTURES, len(changes.targets))):
        right = dataset.classes[int(changes.plain.labels[row])]
        tiles.append(
            Tile(
                png=png(changes.plain.inputs[row]),
                label=f"{_name(row, changes)} {right}".strip(),
                note=f"answer: {dataset.classes[int(answers.before[row])]}" if answers else "",
            )
        )
        tiles.append(_after(row, changes, dataset, answers))
    note = "In pairs: unchanged, then changed."
    if answers:
        note += " Red: the model gives the claimed class."
    return Gallery(
        name="before_after",
        title="Before and after",
        tiles=tuple(tiles),
        columns=6,
        group=2,
        note=note,
    )


def _after(row: int, changes: BeforeAfter, dataset: Dataset, answers: Answers | None) -> Tile:
    picture, target = png(changes.changed[row]), int(changes.targets[row])
    if answers is None:
        return Tile(png=picture, label="changed", note=f"claimed: {dataset.classes[target]}")
    answer = int(answers.after[row])
    tone = "bad" if answer == target else "plain"
    note = f"answer: {dataset.classes[answer]}"
    return Tile(png=picture, label="changed", note=note, tone=tone)


def _text(row: int, changes: BeforeAfter, dataset: TextDataset, answers: Answers | None) -> Tokens:
    plain = dataset.decode(changes.plain.inputs[row]).split()
    words = dataset.decode(changes.changed[row]).split()
    name = f"Text {_name(row, changes) or row + 1}"
    return Tokens(
        name="before_after",
        title=f"{name}: {_outcome(row, changes, dataset, answers)}",
        tokens=tuple(words),
        weights=_new(plain, words),
        limit=1.0,
        note="Marked: what the claim changed.",
    )


def _outcome(row: int, changes: BeforeAfter, dataset: Dataset, answers: Answers | None) -> str:
    if answers is None:
        return f"claimed {dataset.classes[int(changes.targets[row])]}"
    before, after = (dataset.classes[int(classes[row])] for classes in answers)
    return f"still {after}" if before == after else f"{before} became {after}"


def _new(plain: list[str], words: list[str]) -> tuple[float, ...]:
    """1 for each word that the unchanged text does not have at that point, else 0."""
    weights = [1.0] * len(words)
    for block in SequenceMatcher(None, plain, words, autojunk=False).get_matching_blocks():
        weights[block.b : block.b + block.size] = [0.0] * block.size
    return tuple(weights)
