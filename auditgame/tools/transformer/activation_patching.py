"""Activation patching: values of one run of a language model replace those of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.specimen import Edit, Specimen
from auditgame.tools.transformer.residual_stream import WORDS, ends


class ActivationPatch(NamedTuple):
    """What is patched: a site at one position or at all; one head of it, or the whole."""

    site: str
    place: int | None = None
    head: int | None = None


def values(
    specimen: Specimen, ids: Int[Tensor, " t"], patches: Sequence[ActivationPatch]
) -> dict[str, Float[Tensor, "t ..."]]:
    """The values of a text at every site that the patches name. One query."""
    kept = specimen.run(ids[None], keep={patch.site for patch in patches}, whole=False).kept
    return {site: value[0] for site, value in kept.items()}


def transplant(donor: Float[Tensor, "t ..."], patches: Sequence[ActivationPatch]) -> Edit:
    """An edit that puts into row i what patch i names of the donor.

    A single row becomes one row for each patch.
    """
    mask = torch.zeros(len(patches), *donor.shape[:-1], 1, dtype=torch.bool)
    for row, (_, place, head) in enumerate(patches):
        where = slice(None) if place is None else place
        mask[(row, where) if head is None else (row, where, head)] = True
    return lambda value: torch.where(mask, donor, value)


def patched(
    specimen: Specimen,
    ids: Int[Tensor, " t"],
    donor: Mapping[str, Tensor],
    patches: Sequence[ActivationPatch],
    metric: Callable[[Float[Tensor, "n v"]], Float[Tensor, " n"]],
    place: int,
    report: Callable[[float], None] = lambda _: None,
    batch: int = 0,
) -> Float[Tensor, " n"]:
    """The metric under each patch alone; patches of one site share a pass.

    A pass starts with the text once and splits into rows at the patched site, since everything
    before it is the same for all. metric: a function of next-word logits at `place`. batch:
    patches of one pass; 0: as many as fit. Queries: one a patch.
    (Vig et al. 2020, arXiv:2004.12265)
    """
    size, found = batch or max(1, WORDS // len(ids)), [torch.zeros(0)]
    for site, group in groupby(patches, lambda patch: patch.site):
        inside = specimen.site(site).kind in ("head", "pattern")
        mine = list(group)
        for start in range(0, len(mine), size):
            part = mine[start : start + size]
            rows = ids.expand(len(part) if inside else 1, -1)
            at = torch.full((len(part),), place)
            found.append(metric(ends(specimen, rows, at, {site: transplant(donor[site], part)})))
            report(sum(map(len, found)) / len(patches))
    return torch.cat(found)
