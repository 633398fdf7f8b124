"""Put values from one run of a language model into another: activation patching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.mechanism.streams import WORDS, ends
from auditgame.specimen import Edit, Specimen


class Patch(NamedTuple):
    """What is put in: a site's value at one place, or at all; of one head, or of the whole."""

    site: str
    place: int | None = None
    head: int | None = None


def values(
    specimen: Specimen, ids: Int[Tensor, " t"], patches: Sequence[Patch]
) -> dict[str, Float[Tensor, "t ..."]]:
    """What a text has at every site that the patches name. One probe."""
    kept = specimen.run(ids[None], keep={patch.site for patch in patches}, whole=False).kept
    return {site: value[0] for site, value in kept.items()}


def transplant(
    donor: Mapping[str, Float[Tensor, "t ..."]], patches: Sequence[Patch]
) -> dict[str, Edit]:
    """Edits of one batch: its row i gets what patch i names from the donor, and nothing else."""
    rows: dict[str, list[tuple[int, Patch]]] = {}
    for row, patch in enumerate(patches):
        rows.setdefault(patch.site, []).append((row, patch))
    return {site: _put(donor[site], _mask(donor[site], mine)) for site, mine in rows.items()}


class _Chosen(NamedTuple):
    """Which rows of a batch are touched, and where in them."""

    rows: Int[Tensor, " m"]
    mask: Bool[Tensor, "m t ..."]


def _mask(donor: Float[Tensor, "t ..."], mine: list[tuple[int, Patch]]) -> _Chosen:
    """All axes of the donor's but the last; patches of whole sites cover all of it."""
    mask = torch.zeros(len(mine), *donor.shape[:-1], dtype=torch.bool)
    everywhere = slice(None)
    for number, (_, patch) in enumerate(mine):
        place = everywhere if patch.place is None else patch.place
        where = (number, place) if patch.head is None else (number, place, patch.head)
        mask[where] = True
    return _Chosen(torch.tensor([row for row, _ in mine]), mask)


def _put(donor: Float[Tensor, "t ..."], chosen: _Chosen) -> Edit:
    def edit(value: Float[Tensor, "n t ..."]) -> Float[Tensor, "n t ..."]:
        value = value.clone()
        value[chosen.rows] = torch.where(chosen.mask[..., None], donor, value[chosen.rows])
        return value

    return edit


def patched(
    specimen: Specimen,
    ids: Int[Tensor, " t"],
    donor: Mapping[str, Tensor],
    patches: Sequence[Patch],
    metric: Callable[[Float[Tensor, "n v"]], Float[Tensor, " n"]],
    place: int,
    report: Callable[[float], None] = lambda _: None,
    batch: int = 0,
) -> Float[Tensor, " n"]:
    """What the metric says of a text under each patch, alone: many in one batch.

    metric: from next-word logits at `place`. batch: patches of one pass; 0: as many as there
    is room for. Probes: one a patch. (Vig et al. 2020, arXiv:2004.12265)
    """
    size, found = batch or max(1, WORDS // len(ids)), []
    for start in range(0, len(patches), size):
        part = patches[start : start + size]
        rows = ids.expand(len(part), -1)
        at = torch.full((len(part),), place)
        found.append(metric(ends(specimen, rows, at, transplant(donor, part))))
        report(min(1.0, (start + size) / len(patches)))
    return torch.cat(found) if found else torch.zeros(0)
