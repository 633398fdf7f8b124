"""Difference-of-means directions between two sets of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Examples, TextDataset
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext
from auditgame.tools.transformer.prompts import batch
from auditgame.tools.vision.selection import choose


class Direction(NamedTuple):
    """The difference of two sets' means, and the standard deviation along it within the sets."""

    apart: Float[Tensor, " d"]
    spread: float

    @property
    def unit(self) -> Float[Tensor, " d"]:
        """The unit vector of this direction."""
        return self.apart / self.apart.norm().clamp(min=1e-9)

    def along(self, values: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        """The projections of these values, in units of the distance of the two means."""
        return values @ self.unit / self.apart.norm().clamp(min=1e-9)


def at_answers(
    specimen: Specimen, inputs: Int[Tensor, "n t"], sites: Sequence[str], context: ToolContext
) -> dict[str, Float[Tensor, "n d"]]:
    """The values of each site where the answer is read. One query a text."""
    found: dict[str, list[Tensor]] = {site: [] for site in sites}
    size = batch(inputs, specimen.texts)
    for done, part in enumerate(inputs.split(size)):
        context.progress(done * size / len(inputs), "reading texts")
        kept = specimen.run(part, keep=sites).kept
        last = specimen.texts.lengths(part) - 1
        for site in sites:
            found[site].append(kept[site][torch.arange(len(part)), last])
    return {site: torch.cat(parts) for site, parts in found.items()}


def between(some: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> Direction:
    """The difference-of-means direction from `others` to `some`.

    (Turner et al. 2023, arXiv:2308.10248; Rimsky et al. 2023, arXiv:2312.06681)
    """
    apart = some.mean(0) - others.mean(0)
    unit = apart / apart.norm().clamp(min=1e-9)
    centred = torch.cat([some - some.mean(0), others - others.mean(0)]) @ unit
    return Direction(apart, float(centred.square().mean().sqrt()))


def texts_of(text: str, context: ToolContext, field: str) -> Int[Tensor, "n t"]:
    """A text in quotes, or the rows of the pool that `named_set` finds."""
    text = text.strip()
    if text.startswith('"'):
        return context.texts.encode(text.strip('"'))[None]
    return context.examples.inputs[named_set(text, context.examples, context.texts, field)]


def named_set(text: str, examples: Examples, dataset: TextDataset, field: str) -> list[int]:
    """The rows that a text selects: numbers, a class, `factor=level` or `factor>=number`.

    Raises AuditgameError, naming `field`, where it selects none.
    """
    chosen = text.strip()
    if chosen in dataset.classes:
        rows = (examples.labels == dataset.classes.index(chosen)).nonzero()[:, 0].tolist()
    elif "=" in chosen:
        factor, level = (part.strip(" >") for part in chosen.split("=", 1))
        values = levels(factor, examples, dataset, field)
        if ">=" not in chosen:
            rows = [row for row, value in enumerate(values) if value == level]
        elif level.isdigit():
            rows = [
                i for i, value in enumerate(values) if value.isdigit() and int(value) >= int(level)
            ]
        else:
            raise Invalid(f"{field}: '{level}' is not a number; write for example year>=2001")
    elif chosen and not chosen[0].isdigit():
        raise Invalid(f"{field}: {suggest('class', chosen, dataset.classes)}")
    else:
        rows = choose(chosen, len(examples), field)
    if not rows:
        raise Invalid(f"{field}: no example of the pool is '{chosen}'; choose another")
    return rows


def levels(factor: str, examples: Examples, dataset: TextDataset, field: str) -> list[str]:
    """The level of a factor in each row; AuditgameError where there is no such factor."""
    if examples.scenes is None or factor not in dataset.factors:
        raise Invalid(f"{field}: {suggest('factor', factor, dataset.factors)}")
    return [str(value) for value in examples.table[factor]]
