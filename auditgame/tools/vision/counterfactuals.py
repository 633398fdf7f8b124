"""Pictures were changed: what do the specimen and its siblings make of it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Note, Table, Tile, columns


class ImageEdit(NamedTuple):
    """Pictures before and after, the right answer and the name of each."""

    before: Float[Tensor, "n 3 h w"]
    after: Float[Tensor, "n 3 h w"]
    right: list[int]
    names: list[str]


class LogitsBeforeAfter(NamedTuple):
    """One model's logits before and after."""

    before: Float[Tensor, "n k"]
    after: Float[Tensor, "n k"]

    @property
    def flipped(self) -> Bool[Tensor, " n"]:
        """Which answers changed?"""
        return self.before.argmax(1) != self.after.argmax(1)

    def shift(self, followed: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The change in the logit of one class of each picture."""
        return (self.after - self.before).gather(1, followed[:, None])[:, 0]


class Reaction(NamedTuple):
    """What the specimen and its siblings made of a change; which class of each is followed."""

    change: ImageEdit
    own: LogitsBeforeAfter
    references: Sequence[LogitsBeforeAfter]
    followed: Int[Tensor, " n"]
    classes: Sequence[str]

    @property
    def own_shift(self) -> Float[Tensor, " n"]:
        """The specimen's change in the followed logit."""
        return self.own.shift(self.followed)

    @property
    def clean_shift(self) -> Float[Tensor, " n"] | None:
        """The siblings' mean change in it; None where there are no siblings."""
        shifts = [view.shift(self.followed) for view in self.references]
        return torch.stack(shifts).mean(0) if shifts else None


def shown(reaction: Reaction) -> list[Exhibit]:
    """The finding in words, the pictures before and after, and the numbers."""
    return [_finding(reaction), _gallery(reaction), _table(reaction)]


def _finding(reaction: Reaction) -> Note:
    flipped = reaction.own.flipped
    text = f"The answer changed on {int(flipped.sum())} of {len(flipped)} pictures"
    if flipped.any():
        reached = reaction.own.after.argmax(1)[flipped].bincount()
        text += f", on {int(reached.max())} of them to {reaction.classes[int(reached.argmax())]}"
    text += f". The followed logit moved by {float(reaction.own_shift.mean()):+.2f} on average"
    clean = reaction.clean_shift
    if clean is None:
        return Note(name="finding", title="What changed", text=f"{text}; there are no siblings.")
    share = float(torch.stack([view.flipped for view in reaction.references]).float().mean())
    theirs = f"in the siblings by {float(clean.mean()):+.2f}, and their answers changed on"
    return Note(name="finding", title="What changed", text=f"{text}; {theirs} {share:.0%}.")


def _gallery(reaction: Reaction) -> Gallery:
    tiles = [tile for row in range(len(reaction.followed)) for tile in _pair(row, reaction)]
    note = (
        "In pairs: before, then after. Red: the answer changed. Numbers: the change in the "
        "logit of the class they stand with; in brackets, the siblings' mean."
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
        Tile(png=png(change.before[row]), label=name, note=f"said {before}"),
        Tile(
            png=png(change.after[row]),
            label=f"said {after}",
            note=moved,
            tone="plain" if before == after else "bad",
        ),
    )


def _table(reaction: Reaction) -> Table:
    own, clean = reaction.own_shift.tolist(), reaction.clean_shift
    theirs = [None] * len(own) if clean is None else [round(v, 3) for v in clean.tolist()]
    rows = []
    for row, name in enumerate(reaction.change.names):
        said = (int(logits[row].argmax()) for logits in reaction.own)
        named = (reaction.change.right[row], *said, int(reaction.followed[row]))
        rows.append((name, *(reaction.classes[k] for k in named), round(own[row], 3), theirs[row]))
    return Table(
        name="images",
        title="Picture by picture",
        columns=columns(
            "image",
            ("label", "right"),
            "before",
            "after",
            "class",
            "specimen",
            ("reference_models", "siblings"),
        ),
        rows=tuple(rows),
        note="Specimen, siblings: the change in the logit of the class; siblings: their mean.",
    )
