"""In which direction does a stream tell two sets of texts apart?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.catalog import suggest
from auditgame.datasets import Dataset, Examples
from auditgame.lens.selection import choose
from auditgame.material import Material
from auditgame.specimen import Specimen
from auditgame.types import AuditgameError

BATCH = 32


class Direction(NamedTuple):
    """From the mean of one set to the mean of another, and the spread of both around theirs."""

    apart: Float[Tensor, " d"]
    spread: float

    @property
    def unit(self) -> Float[Tensor, " d"]:
        """The same, of length 1."""
        return self.apart / self.apart.norm().clamp(min=1e-9)


def streams(specimen: Specimen) -> list[str]:
    """The sites that hold the residual stream, from the embedding up."""
    return [s for s in specimen.sites if s == "embed" or s.endswith(".residual")]


def at_answers(
    specimen: Specimen, inputs: Int[Tensor, "n t"], sites: Sequence[str], material: Material
) -> dict[str, Float[Tensor, "n d"]]:
    """What stands in each of these streams where the answer is read? One probe a text."""
    found: dict[str, list[Tensor]] = {site: [] for site in sites}
    for done, part in enumerate(inputs.split(BATCH)):
        material.progress(done * BATCH / len(inputs), "reading texts")
        kept = specimen.run(part, keep=sites).kept
        last = specimen.dataset.lengths(part) - 1
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


def named_set(text: str, examples: Examples, dataset: Dataset, field: str) -> list[int]:
    """Which rows of the pool does a person mean: numbers, a class, or `factor=level`?

    Raises AuditgameError, naming `field`, where that is nobody.
    """
    said = text.strip()
    if said in dataset.classes:
        rows = (examples.labels == dataset.classes.index(said)).nonzero()[:, 0].tolist()
    elif "=" in said:
        factor, level = (part.strip() for part in said.split("=", 1))
        told = [] if examples.scenes is None else list(examples.scenes.columns)
        if factor not in told:
            raise AuditgameError(f"{field}: {suggest('factor', factor, told)}")
        rows = [i for i, v in enumerate(examples.table[factor].astype(str)) if v == level]
    elif said and not said[0].isdigit():
        raise AuditgameError(f"{field}: {suggest('class', said, dataset.classes)}")
    else:
        rows = choose(said, len(examples), field)
    if not rows:
        raise AuditgameError(f"{field}: no example of the pool is '{said}'; choose another")
    return rows
