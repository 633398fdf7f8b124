"""What does a claim do to inputs? Shown before and after, with the answers where they are known."""

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
"""At most so many are shown."""


class BeforeAfter(NamedTuple):
    """Inputs before and after a claim was enacted on them.

    targets: the class each is claimed to go to. names: of the inputs, where they have any.
    """

    plain: Examples
    changed: Tensor
    targets: Int[Tensor, " n"]
    names: tuple[str, ...] = ()


def preview(examples: Examples, applied: AppliedClaim, names: Sequence[str] = ()) -> BeforeAfter:
    """Those of the examples of which the claim says something, before and after it."""
    rows = (applied.targets >= 0).nonzero()[:, 0]
    kept = tuple(names[row] for row in rows.tolist()) if names else ()
    changed = applied.examples.inputs[rows]
    return BeforeAfter(examples.take(rows), changed, applied.targets[rows], kept)


class Answers(NamedTuple):
    """What a model said to the same inputs, before and after."""

    before: Int[Tensor, " n"]
    after: Int[Tensor, " n"]


def preview_exhibits(
    turned: BeforeAfter, dataset: Dataset, answers: Answers | None = None
) -> list[Exhibit]:
    """The first few inputs, each before and after. Without answers, what is claimed instead."""
    if not isinstance(dataset, TextDataset):
        return [_gallery(turned, dataset, answers)]
    return [_text(row, turned, dataset, answers) for row in range(min(TEXTS, len(turned.targets)))]


def _name(row: int, turned: BeforeAfter) -> str:
    return turned.names[row] if turned.names else ""


def _gallery(turned: BeforeAfter, dataset: Dataset, answers: Answers | None) -> Gallery:
    tiles = []
    for row in range(min(PICTURES, len(turned.targets))):
        right = dataset.classes[int(turned.plain.labels[row])]
        tiles.append(
            Tile(
                png=png(turned.plain.inputs[row]),
                label=f"{_name(row, turned)} {right}".strip(),
                note=f"said {dataset.classes[int(answers.before[row])]}" if answers else "",
            )
        )
        tiles.append(_after(row, turned, dataset, answers))
    note = "In pairs: left alone, then changed."
    if answers:
        note += " Red: the claim came true."
    return Gallery(
        name="before_after",
        title="Before and after",
        tiles=tuple(tiles),
        columns=6,
        group=2,
        note=note,
    )


def _after(row: int, turned: BeforeAfter, dataset: Dataset, answers: Answers | None) -> Tile:
    picture, target = png(turned.changed[row]), int(turned.targets[row])
    if answers is None:
        return Tile(png=picture, label="changed", note=f"claimed: {dataset.classes[target]}")
    said = int(answers.after[row])
    tone = "bad" if said == target else "plain"
    return Tile(png=picture, label="changed", note=f"said {dataset.classes[said]}", tone=tone)


def _text(row: int, turned: BeforeAfter, dataset: TextDataset, answers: Answers | None) -> Tokens:
    plain = dataset.decode(turned.plain.inputs[row]).split()
    words = dataset.decode(turned.changed[row]).split()
    name = f"Text {_name(row, turned) or row + 1}"
    return Tokens(
        name="before_after",
        title=f"{name}: {_said(row, turned, dataset, answers)}",
        tokens=tuple(words),
        weights=_new(plain, words),
        limit=1.0,
        note="Marked: what the claim changed.",
    )


def _said(row: int, turned: BeforeAfter, dataset: Dataset, answers: Answers | None) -> str:
    if answers is None:
        return f"claimed {dataset.classes[int(turned.targets[row])]}"
    before, after = (dataset.classes[int(said[row])] for said in answers)
    return f"stayed {after}" if before == after else f"{before} became {after}"


def _new(plain: list[str], words: list[str]) -> tuple[float, ...]:
    """1 for each word that the plain text does not have at that point, else 0."""
    weights = [1.0] * len(words)
    for block in SequenceMatcher(None, plain, words, autojunk=False).get_matching_blocks():
        weights[block.b : block.b + block.size] = [0.0] * block.size
    return tuple(weights)
