"""The residual stream of a language model: its sites, its values, its final logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.specimen import Edit, Specimen

WORDS = 4096
"""Words of one pass, padding included, at most; one text alone may be longer."""


def layers(specimen: Specimen) -> list[str]:
    """The sites that hold the residual stream, from the embedding up."""
    found = [name for name in specimen.sites if name.endswith(".residual")]
    return ["embed", *found] if "embed" in specimen.sites else found


def blocks(specimen: Specimen) -> list[str]:
    """The blocks that have attention heads, from the first up."""
    return [n.removesuffix(".pattern") for n in specimen.sites if n.endswith(".pattern")]


def heads(specimen: Specimen) -> list[str]:
    """Every attention head as a unit, from the first block up."""
    sites = [specimen.site(f"{block}.heads") for block in blocks(specimen)]
    return [f"{site.name}:{head}" for site in sites for head in range(site.units)]


def batches(ids: Int[Tensor, "n t"]) -> Iterator[Int[Tensor, "m t"]]:
    """The texts in batches of one pass each."""
    yield from ids.split(max(1, WORDS // ids.shape[1]))


def streams(specimen: Specimen, ids: Int[Tensor, "n t"]) -> Float[Tensor, "layer n t d"]:
    """The residual stream after the embedding and after every block; nothing is unembedded."""
    sites = layers(specimen)
    kept = specimen.run(ids, keep=sites, whole=False).kept
    return torch.stack([kept[site] for site in sites])


def ends(
    specimen: Specimen,
    ids: Int[Tensor, "n t"],
    places: Int[Tensor, " n"],
    edit: Mapping[str, Edit] | None = None,
) -> Float[Tensor, "n v"]:
    """Next-word logits at one position of each text; no other position is unembedded.

    An edit may turn one text into many rows; then `places` has one entry for each row.
    """
    last = layers(specimen)[-1]
    stream = specimen.run(ids, keep=[last], edit=edit, whole=False).kept[last]
    return specimen.unembed(stream[torch.arange(len(places)), places])
