"""Attention weights of every head, and scores for three known attention patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.schema.errors import Invalid
from auditgame.specimen import Edit, Specimen
from auditgame.tools.transformer.residual_stream import blocks, layers

HeadPattern = Literal["previous token", "duplicate token", "induction"]
HEAD_PATTERNS: tuple[HeadPattern, ...] = ("previous token", "duplicate token", "induction")
PATTERN = 4_000_000
"""Attention weights of one block per pass, at most."""


def patterns(specimen: Specimen, ids: Int[Tensor, " t"]) -> dict[str, Float[Tensor, "head q k"]]:
    """Attention weights of one text by block; every row sums to 1. One query."""
    names = [f"{block}.pattern" for block in blocks(specimen)]
    kept = specimen.run(ids[None], keep=names, whole=False).kept
    return {name.removesuffix(".pattern"): kept[name][0] for name in names}


def weighted(specimen: Specimen, ids: Int[Tensor, " t"]) -> dict[str, Float[Tensor, "head q k"]]:
    """Each weight times the norm of the head's output for that position. One query.

    The norm of the weighted, transformed vector (Kobayashi et al. 2020, arXiv:2004.10102).
    """
    weights, found = specimen.transformer_weights(), {}
    names = [f"{block}.pattern" for block in blocks(specimen)]
    kept = specimen.run(ids[None], keep=[*names, *layers(specimen)[:-1]], whole=False).kept
    for layer, (name, before) in enumerate(zip(names, layers(specimen)[:-1], strict=True)):
        part, stream = weights.layers[layer], kept[before][0]
        seen = weights.normalise(stream, stream)
        values = torch.einsum("td,hde->hte", seen, part.value) + part.value_bias[:, None]
        written = torch.einsum("hte,hed->htd", values, part.output).norm(dim=2)
        found[name.removesuffix(".pattern")] = kept[name][0] * written[:, None]
    return found


def head_of(unit: str, specimen: Specimen, field: str = "head") -> tuple[str, int]:
    """Block and index of a head such as `block1.heads:2`; AuditgameError names the field."""
    site, index = specimen.unit(unit)
    if site.kind != "head":
        raise Invalid(f"{field}: '{unit}' is not a head; write for example block1.heads:2")
    return site.name.removesuffix(".heads"), index


# ----------------------------------------------------------------- patterns


def repeated(count: int, length: int, words: int, rng: torch.Generator) -> Int[Tensor, "n t"]:
    """Texts of one random word, then `length` random words, then the same words again.

    All words of a text differ where the vocabulary has so many; ids 0 and 1 are left out.
    """
    drawn = [2 + torch.randperm(words - 2, generator=rng)[: length + 1] for _ in range(count)]
    return torch.stack([torch.cat([row, row[1:]]) for row in drawn])


def pattern_masks(
    ids: Int[Tensor, "n t"], present: Bool[Tensor, "n t"]
) -> dict[HeadPattern, Tensor]:
    """For each pattern a mask, `n q k`: the earlier positions that it attends to.

    previous token: the word before. duplicate token: an earlier occurrence of the same word.
    induction: the word after an earlier occurrence of the same word.
    """
    t = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    same &= present[:, :, None]
    after = torch.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]
    before = torch.eye(t, dtype=torch.bool).roll(-1, 1).tril(-1) & present[:, :, None]
    return {"previous token": before, "duplicate token": same, "induction": after.tril(-1)}


def pattern_scores(
    specimen: Specimen,
    ids: Int[Tensor, "n t"],
    report: Callable[[float], None] = lambda _: None,
) -> dict[HeadPattern, Float[Tensor, "layer head"]]:
    """The share of its attention that each head gives to the positions of each pattern.

    Mean over all positions for which there is such an earlier one; 0 where there is none.
    Weights are summed as they are computed, and not kept. Queries: one a text.
    """
    heads = [specimen.site(f"{block}.heads").units for block in blocks(specimen)]
    sums = {pattern: torch.zeros(len(heads), max(heads)) for pattern in HEAD_PATTERNS}
    counts = dict.fromkeys(HEAD_PATTERNS, 0)
    rows = max(1, PATTERN // (max(heads) * ids.shape[1] ** 2))
    for done, part in enumerate(ids.split(rows)):
        masks = pattern_masks(part, specimen.texts.present(part))
        watching = {
            f"{block}.pattern": _watch(
                masks, {pattern: sums[pattern][layer] for pattern in HEAD_PATTERNS}
            )
            for layer, block in enumerate(blocks(specimen))
        }
        specimen.run(part, keep=[layers(specimen)[-1]], edit=watching, whole=False)
        for pattern in HEAD_PATTERNS:
            counts[pattern] += int(masks[pattern].any(2).sum())
        report(min(1.0, (done + 1) * rows / len(ids)))
    return {pattern: sums[pattern] / max(1, counts[pattern]) for pattern in HEAD_PATTERNS}


def _watch(
    masks: dict[HeadPattern, Tensor], sums: dict[HeadPattern, Float[Tensor, " head"]]
) -> Edit:
    """An edit that changes nothing and sums the attention on the masks."""

    def look(pattern: Float[Tensor, "n head q k"]) -> Float[Tensor, "n head q k"]:
        for name, mask in masks.items():
            sums[name] += torch.einsum("nhqk,nqk->h", pattern, mask.to(pattern.dtype))
        return pattern

    return look
