"""From where does each head fetch what it writes?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, Grid, Table, Tokens
from auditgame.lens.prompts import Prompt, labels, prompt, words
from auditgame.material import Material
from auditgame.specimen import Specimen
from auditgame.tools import Tool
from auditgame.types import AuditgameError


class Attention(Tool):
    """Which words does each attention head look at, from the place where the answer is read?

    At a glance: for every head, the word it looks at most. In detail: one head from every
    word to every earlier word. Value-weighted: each weight times the length of the value
    vector found there, which is closer to what the head really carries away.

    Reading it: each row of a head's pattern sums to 1. Look for a head that leaves its usual
    place (the first word, the word before) when one odd word is in the text, and compare with
    the same text without it. Measured on planted models: one head looks at a planted
    rare word; a planted year is first copied into a full stop, which a later head
    reads, so that no head points at the year itself.

    How it misleads: attention says where a head reads, not what it does with it. Many heads
    rest on the first word when they have nothing to do, where the value is short: use the
    value-weighted view. A weight is no measure of importance; ablation is.

    Source: Vaswani et al. 2017, arXiv:1706.03762; that weights alone explain little: Jain and
    Wallace 2019, arXiv:1902.10186; value-weighted: Kobayashi et al. 2020, arXiv:2004.10102.
    """

    name = "attention"
    title = "Attention patterns"
    asks = "Where does it look?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Which text, and which head in detail?"""

        head: str = Field(
            "",
            max_length=64,
            title="Head in detail",
            description="For example block1.heads:2; empty shows the one that looks hardest "
            "from the answer's place.",
            json_schema_extra={"widget": "unit"},
        )
        value_weighted: bool = Field(
            False,
            title="Value-weighted",
            description="Weights times the length of the value vectors; costs one probe a layer.",
        )

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """One probe; value-weighted, one more for each layer."""
        return 1 + (len(_blocks(specimen)) if options.value_weighted else 0)

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """All heads at a glance, then one in detail."""
        ids = prompt(options, material)
        scores = patterns(specimen, ids)
        unit = "attention weight"
        if options.value_weighted:
            scores = {b: s * values(specimen, ids, b)[:, None] for b, s in scores.items()}
            unit = "weight times length of the value"
        said = words(ids.tolist(), material.dataset)
        glance = [
            _peak(block, head, row)
            for block, score in scores.items()
            for head, row in enumerate(score[:, -1])
        ]
        block, head = _chosen(options, specimen, glance)
        score = scores[block][head]
        return [
            _overview(glance, said, unit),
            _listed(glance, said, unit),
            _detail(f"{block}.heads:{head}", score, labels(ids, material.dataset), unit),
            _from_answer(f"{block}.heads:{head}", score[-1], said, unit),
        ]


class Peak(NamedTuple):
    """The place a head looks at hardest from where the answer is read."""

    block: str
    head: int
    place: int
    weight: float


def patterns(specimen: Specimen, ids: Int[Tensor, " t"]) -> dict[str, Float[Tensor, "head q k"]]:
    """Attention weights of one text, block by block; every row sums to 1."""
    names = [f"{block}.pattern" for block in _blocks(specimen)]
    kept = specimen.run(ids[None], keep=names).kept
    return {name.removesuffix(".pattern"): kept[name][0] for name in names}


def values(specimen: Specimen, ids: Int[Tensor, " t"], block: str) -> Float[Tensor, "head k"]:
    """Length of the value vector at each place of one block, by head.

    With the pattern replaced by the identity, a head's output at a place is its value there.
    """

    def look_at_yourself(pattern: Float[Tensor, "n head q k"]) -> Float[Tensor, "n head q k"]:
        return torch.eye(pattern.shape[-1]).expand_as(pattern)

    reading = specimen.run(
        ids[None], keep=[f"{block}.heads"], edit={f"{block}.pattern": look_at_yourself}
    )
    return reading.kept[f"{block}.heads"][0].norm(dim=-1).T


def _blocks(specimen: Specimen) -> list[str]:
    return [n.removesuffix(".pattern") for n in specimen.sites if n.endswith(".pattern")]


def _peak(block: str, head: int, row: Float[Tensor, " k"]) -> Peak:
    place = int(row.argmax())
    return Peak(block, head, place, round(float(row[place]), 4))


def _chosen(options: Attention.Options, specimen: Specimen, glance: list[Peak]) -> tuple[str, int]:
    if not options.head:
        best = max(glance, key=lambda peak: peak.weight)
        return best.block, best.head
    site, index = specimen.unit(options.head)
    if site.kind != "head":
        raise AuditgameError(f"head: '{options.head}' is no head; write for example block1.heads:2")
    return site.name.removesuffix(".heads"), index


def _overview(glance: list[Peak], said: tuple[str, ...], unit: str) -> Grid:
    blocks = list(dict.fromkeys(peak.block for peak in glance))
    rows = [[peak for peak in glance if peak.block == block] for block in blocks]
    return Grid(
        title="What each head looks at from the answer's place",
        rows=tuple(blocks),
        columns=tuple(f"head {peak.head}" for peak in rows[0]),
        values=tuple(tuple(peak.weight for peak in row) for row in rows),
        words=tuple(tuple(said[peak.place] for peak in row) for row in rows),
        row_axis="block",
        column_axis="head",
        note=f"Cells: the largest {unit}, and the word it falls on.",
    )


def _listed(glance: list[Peak], said: tuple[str, ...], unit: str) -> Table:
    return Table(
        title="The same as a list",
        columns=("head", "place", "word", unit),
        rows=tuple(
            (f"{peak.block}.heads:{peak.head}", peak.place, said[peak.place], peak.weight)
            for peak in sorted(glance, key=lambda peak: -peak.weight)
        ),
    )


def _detail(name: str, score: Float[Tensor, "q k"], places: tuple[str, ...], unit: str) -> Grid:
    return Grid(
        title=f"{name} in detail",
        rows=places,
        columns=places,
        values=tuple(tuple(round(v, 4) for v in row) for row in score.tolist()),
        row_axis="from",
        column_axis="to",
        note=f"Cells: {unit}; a word sees itself and what stands before it.",
    )


def _from_answer(name: str, row: Float[Tensor, " k"], said: tuple[str, ...], unit: str) -> Tokens:
    weights = tuple(round(v, 4) for v in row.tolist())
    return Tokens(
        title=f"{name} from the answer's place",
        tokens=said,
        weights=weights,
        limit=max(weights),
        note=f"Shade: {unit}.",
    )
