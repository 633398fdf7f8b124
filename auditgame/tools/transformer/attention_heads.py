"""Where does every attention head look, and by which habit?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Edit, Specimen
from auditgame.tools.transformer.residual_stream import blocks, layers

Habit = Literal["previous token", "duplicate token", "induction"]
HABITS: tuple[Habit, ...] = ("previous token", "duplicate token", "induction")
PATTERN = 4_000_000
"""So many attention weights of one block are looked at in one pass."""


def patterns(specimen: Specimen, ids: Int[Tensor, " t"]) -> dict[str, Float[Tensor, "head q k"]]:
    """Attention weights of one text, block by block; every row sums to 1. One probe."""
    names = [f"{block}.pattern" for block in blocks(specimen)]
    kept = specimen.run(ids[None], keep=names, whole=False).kept
    return {name.removesuffix(".pattern"): kept[name][0] for name in names}


def weighted(specimen: Specimen, ids: Int[Tensor, " t"]) -> dict[str, Float[Tensor, "head q k"]]:
    """Each weight times the length of what the head would write of that place. One probe.

    The norm of the weighted, transformed vector (Kobayashi et al. 2020, arXiv:2004.10102).
    """
    anatomy, found = specimen.transformer_weights(), {}
    names = [f"{block}.pattern" for block in blocks(specimen)]
    kept = specimen.run(ids[None], keep=[*names, *layers(specimen)[:-1]], whole=False).kept
    for layer, (name, before) in enumerate(zip(names, layers(specimen)[:-1], strict=True)):
        part, stream = anatomy.layers[layer], kept[before][0]
        seen = anatomy.normalise(stream, stream)
        values = torch.einsum("td,hde->hte", seen, part.value) + part.value_bias[:, None]
        written = torch.einsum("hte,hed->htd", values, part.output).norm(dim=2)
        found[name.removesuffix(".pattern")] = kept[name][0] * written[:, None]
    return found


def head_of(unit: str, specimen: Specimen, field: str = "head") -> tuple[str, int]:
    """The block and number of a head such as `block1.heads:2`, or an error that names the field."""
    site, index = specimen.unit(unit)
    if site.kind != "head":
        raise AuditgameError(f"{field}: '{unit}' is no head; write for example block1.heads:2")
    return site.name.removesuffix(".heads"), index


# ------------------------------------------------------------------- habits


def repeated(count: int, length: int, words: int, rng: torch.Generator) -> Int[Tensor, "n t"]:
    """Texts of one random word, then `length` random words, then the same words again.

    All words of a text differ where the vocabulary has so many; ids 0 and 1 are left out.
    """
    drawn = [2 + torch.randperm(words - 2, generator=rng)[: length + 1] for _ in range(count)]
    return torch.stack([torch.cat([row, row[1:]]) for row in drawn])


def aims(ids: Int[Tensor, "n t"], present: Bool[Tensor, "n t"]) -> dict[Habit, Tensor]:
    """By habit, `n q k`: at which earlier places would a head of that habit look?

    previous token: the word before. duplicate token: the same word, earlier. induction: the
    word that came after the same word, earlier.
    """
    t = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    same &= present[:, :, None]
    after = torch.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]
    before = torch.eye(t, dtype=torch.bool).roll(-1, 1).tril(-1) & present[:, :, None]
    return {"previous token": before, "duplicate token": same, "induction": after.tril(-1)}


def habits(
    specimen: Specimen,
    ids: Int[Tensor, "n t"],
    report: Callable[[float], None] = lambda _: None,
) -> dict[Habit, Float[Tensor, "layer head"]]:
    """How much of its attention does each head give to the places each habit names?

    Mean over all places that have such a place before them; 0 where none has. Patterns are
    looked at as they pass, and not kept. Probes: one a text.
    """
    heads = [specimen.site(f"{block}.heads").units for block in blocks(specimen)]
    sums = {habit: torch.zeros(len(heads), max(heads)) for habit in HABITS}
    counts = dict.fromkeys(HABITS, 0)
    rows = max(1, PATTERN // (max(heads) * ids.shape[1] ** 2))
    for done, part in enumerate(ids.split(rows)):
        wanted = aims(part, specimen.texts.present(part))
        watching = {
            f"{block}.pattern": _watch(wanted, {habit: sums[habit][layer] for habit in HABITS})
            for layer, block in enumerate(blocks(specimen))
        }
        specimen.run(part, keep=[layers(specimen)[-1]], edit=watching, whole=False)
        for habit in HABITS:
            counts[habit] += int(wanted[habit].any(2).sum())
        report(min(1.0, (done + 1) * rows / len(ids)))
    return {habit: sums[habit] / max(1, counts[habit]) for habit in HABITS}


def _watch(wanted: dict[Habit, Tensor], into: dict[Habit, Float[Tensor, " head"]]) -> Edit:
    """An edit that changes nothing and adds up what it sees."""

    def look(pattern: Float[Tensor, "n head q k"]) -> Float[Tensor, "n head q k"]:
        for habit, aim in wanted.items():
            into[habit] += torch.einsum("nhqk,nqk->h", pattern, aim.to(pattern.dtype))
        return pattern

    return look
