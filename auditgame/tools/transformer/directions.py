"""In which direction does a stream tell two sets of texts apart?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Examples, TextDataset
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext
from auditgame.tools.transformer.prompts import batch
from auditgame.tools.vision.selection import choose


class Direction(NamedTuple):
    """From the mean of one set to the mean of another, and the spread of both around theirs."""

    apart: Float[Tensor, " d"]
    spread: float

    @property
    def unit(self) -> Float[Tensor, " d"]:
        """The same, of length 1."""
        return self.apart / self.apart.norm().clamp(min=1e-9)

    def along(self, values: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        """How far along it do these lie, in distances of the two means?"""
        return values @ self.unit / self.apart.norm().clamp(min=1e-9)


def at_answers(
    specimen: Specimen, inputs: Int[Tensor, "n t"], sites: Sequence[str], context: ToolContext
) -> dict[str, Float[Tensor, "n d"]]:
    """What stands in each of these streams where the answer is read? One probe a text."""
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
    """The direction from the others to these (difference of means).

    (Turner et al. 2023, arXiv:2308.10248; Rimsky et al. 2023, arXiv:2312.06681)
    """
    apart = some.mean(0) - others.mean(0)
    unit = apart / apart.norm().clamp(min=1e-9)
    centred = torch.cat([some - some.mean(0), others - others.mean(0)]) @ unit
    return Direction(apart, float(centred.square().mean().sqrt()))


def texts_of(text: str, context: ToolContext, field: str) -> Int[Tensor, "n t"]:
    """A text in quotes, or the rows of the pool that `named_set` finds."""
    said = text.strip()
    if said.startswith('"'):
        return context.texts.encode(said.strip('"'))[None]
    return context.examples.inputs[named_set(said, context.examples, context.texts, field)]


def named_set(text: str, examples: Examples, dataset: TextDataset, field: str) -> list[int]:
    """Which rows does a person mean: numbers, a class, `factor=level` or `factor>=number`?

    Raises AuditgameError, naming `field`, where that is nobody.
    """
    said = text.strip()
    if said in dataset.classes:
        rows = (examples.labels == dataset.classes.index(said)).nonzero()[:, 0].tolist()
    elif "=" in said:
        factor, level = (part.strip(" >") for part in said.split("=", 1))
        told = levels(factor, examples, dataset, field)
        if ">=" not in said:
            rows = [row for row, value in enumerate(told) if value == level]
        elif level.isdigit():
            rows = [
                i for i, value in enumerate(told) if value.isdigit() and int(value) >= int(level)
            ]
        else:
            raise AuditgameError(f"{field}: '{level}' is no number; write for example year>=2001")
    elif said and not said[0].isdigit():
        raise AuditgameError(f"{field}: {suggest('class', said, dataset.classes)}")
    else:
        rows = choose(said, len(examples), field)
    if not rows:
        raise AuditgameError(f"{field}: no example of the pool is '{said}'; choose another")
    return rows


def levels(factor: str, examples: Examples, dataset: TextDataset, field: str) -> list[str]:
    """The level of a factor in each row, or AuditgameError where there is no such factor."""
    if examples.scenes is None or factor not in dataset.factors:
        raise AuditgameError(f"{field}: {suggest('factor', factor, dataset.factors)}")
    return [str(value) for value in examples.table[factor]]
