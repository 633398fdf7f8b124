"""Edited images: answers of the specimen and the reference models before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Note, Table, Tile, columns


class ImageEdit(NamedTuple):
    """Images before and after, the label and the name of each."""

    before: Float[Tensor, "n 3 h w"]
    after: Float[Tensor, "n 3 h w"]
    right: list[int]
    names: list[str]


class LogitsBeforeAfter(NamedTuple):
    """One model's class logits before and after."""

    before: Float[Tensor, "n k"]
    after: Float[Tensor, "n k"]

    @property
    def flipped(self) -> Bool[Tensor, " n"]:
        """Which answers changed?"""
        return self.before.argmax(1) != self.after.argmax(1)

    def shift(self, followed: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The change in the logit of one class of each image."""
        return (self.after - self.before).gather(1, followed[:, None])[:, 0]


class Reaction(NamedTuple):
    """The logits of all models on edited images; followed: the class compared on each image."""

    change: ImageEdit
    own: LogitsBeforeAfter
    references: Sequence[LogitsBeforeAfter]
    followed: Int[Tensor, " n"]
    classes: Sequence[str]

    @property
    def own_shift(self) -> Float[Tensor, " n"]:
        """The change of the followed logit on the specimen."""
        return self.own.shift(self.followed)

    @property
    def clean_shift(self) -> Float[Tensor, " n"] | None:
        """Its mean change on the reference models; None where there are none."""
        shifts = [view.shift(self.followed) for view in self.references]
        return torch.stack(shifts).mean(0) if shifts else None


def shown(reaction: Reaction) -> list[Exhibit]:
    """The finding, the images before and after, and the table."""
    return [_finding(reaction), _gallery(reaction), _table(reaction)]


def _finding(reaction: Reaction) -> Note:
    flipped = reaction.own.flipped
    text = f"The answer changed on {int(flipped.sum())} of {len(flipped)} images"
    if flipped.any():
        reached = reaction.own.after.argmax(1)[flipped].bincount()
        text += f", on {int(reached.max())} of them to {reaction.classes[int(reached.argmax())]}"
    text += f". The followed logit changed by {float(reaction.own_shift.mean()):+.2f} on average"
    clean = reaction.clean_shift
    if clean is None:
        return Note(name="finding", title="Finding", text=f"{text}; there are no reference models.")
    share = float(torch.stack([view.flipped for view in reaction.references]).float().mean())
    theirs = f"on the reference models by {float(clean.mean()):+.2f}, and their answers changed on"
    return Note(name="finding", title="Finding", text=f"{text}; {theirs} {share:.0%}.")


def _gallery(reaction: Reaction) -> Gallery:
    tiles = [tile for row in range(len(reaction.followed)) for tile in _pair(row, reaction)]
    note = (
        "In pairs: before, after. Red: the answer changed. Numbers: the change in the logit of "
        "the named class; in brackets, the mean of the reference models."
    )
    return Gallery(
        name="before_after",
        title="Before and after",
        tiles=tuple(tiles),
        columns=6,
        group=2,
        note=note,
    )


def _pair(row: int, reaction: Reaction) -> tuple[Tile, Tile]:
    change, classes, clean = reaction.change, reaction.classes, reaction.clean_shift
    before, after = (classes[int(logits[row].argmax())] for logits in reaction.own)
    moved = f"{classes[int(reaction.followed[row])]} {float(reaction.own_shift[row]):+.1f}"
    if clean is not None:
        moved += f" ({float(clean[row]):+.1f})"
    name = f"{change.names[row]} {classes[change.right[row]]}"
    return (
        Tile(png=png(change.before[row]), label=name, note=f"answer: {before}"),
        Tile(
            png=png(change.after[row]),
            label=f"answer: {after}",
            note=moved,
            tone="plain" if before == after else "bad",
        ),
    )


def _table(reaction: Reaction) -> Table:
    own, clean = reaction.own_shift.tolist(), reaction.clean_shift
    theirs = [None] * len(own) if clean is None else [round(v, 3) for v in clean.tolist()]
    rows = []
    for row, name in enumerate(reaction.change.names):
        answers = (int(logits[row].argmax()) for logits in reaction.own)
        named = (reaction.change.right[row], *answers, int(reaction.followed[row]))
        rows.append((name, *(reaction.classes[k] for k in named), round(own[row], 3), theirs[row]))
    return Table(
        name="images",
        title="Logit change by image",
        columns=columns(
            "image",
            "label",
            "before",
            "after",
            "class",
            "specimen",
            ("reference_models", "reference models"),
        ),
        rows=tuple(rows),
        note="Specimen, reference models: change in the logit of the class; a mean for the latter.",
    )
