"""What do the weights of a head say, without any text?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.attention_heads import head_of
from auditgame.tools.transformer.head_composition import (
    KINDS,
    Circuit,
    Kind,
    Pairs,
    chance,
    composition,
    copying,
    largest,
    reading,
    writing,
)
from auditgame.tools.transformer.prompts import words
from auditgame.tools.transformer.residual_stream import blocks, heads
from auditgame.tools.transformer.targets import word_id

SHOWN = 16
"""The grid has no more words than these along a side, unless they are named."""


class Circuits(Tool):
    """Which word does a head look for, and which word does it then promote?

    OV: if the head attends to a word (row), how far does it raise each next word (column)?
    QK: from which word (row) does it attend to which (column)? Composition: which earlier
    heads write what this one reads, as its query, key or value? All of it is worked out from
    the weights, costs no probe, and needs no text.

    Reading it: rows are centred, so that 0 is the mean word of its row. A head that copies has
    a copying score near 1: words promote themselves. A head that looks up one planted word
    stands out in QK, or promotes one answer from one word in OV. A composition score well
    above that of random weights says that two heads may work together.

    How it misleads: a head rarely sees a bare embedding: after the first block the stream
    holds other things too, and places are left out. Later layers may undo what OV promotes.
    Large cells often belong to words that never meet. Composition is a possibility, no fact:
    confirm it with patching.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
    """

    name = "circuits"
    title = "Circuits of heads"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Record):
        """Which head, which of its circuits, and which words?"""

        head: str = Field(
            "",
            max_length=64,
            title="Head",
            description="For example block1.heads:2; empty takes the one that copies most.",
            json_schema_extra={"widget": "unit"},
        )
        view: Literal["OV", "QK", "composition"] = Field(
            "OV",
            title="View",
            description="OV: what it writes. QK: where it looks. composition: with which heads.",
        )
        words: str = Field(
            "",
            max_length=1000,
            title="Words of the grid",
            description="With spaces between; empty takes those of the largest cells.",
            json_schema_extra={"when": {"view": ["OV", "QK"]}},
        )
        top: int = Field(
            20,
            ge=1,
            le=200,
            title="Pairs shown",
            description="The largest of all.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Nothing: no example is sent."""
        return 0

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Every head's copying score, then one head's circuit."""
        anatomy = specimen.transformer_weights()
        if anatomy.turned and options.view == "QK":
            raise AuditgameError(
                "view: this model turns queries and keys by their place (rotary embedding), so "
                "QK on bare words says nothing; choose OV or composition"
            )
        context.progress(0.0, "copying scores")
        scores = copying(anatomy)
        unit = options.head or _most(specimen, scores)
        block, head = head_of(unit, specimen)
        at = (blocks(specimen).index(block), head)
        overview = _overview(specimen, scores, options)
        if options.view == "composition":
            return [overview, *_composed(specimen, anatomy, unit, at, options, context)]
        circuit = (writing if options.view == "OV" else reading)(anatomy, *at)
        pairs = largest(circuit, options.top, lambda s: context.progress(s, "words by words"))
        return [
            overview,
            _pairs(unit, options, pairs, context),
            _grid(unit, options, circuit, pairs, context),
        ]


def _most(specimen: Specimen, scores: Float[Tensor, "layer head"]) -> str:
    """The head that copies most."""
    return heads(specimen)[int(scores.flatten().argmax())]


def _overview(
    specimen: Specimen, scores: Float[Tensor, "layer head"], options: Circuits.Options
) -> Grid:
    named, columns = blocks(specimen), range(scores.shape[1])
    return Grid(
        name="copying",
        title="Copying score of every head",
        rows=tuple(named),
        columns=tuple(f"head {head}" for head in columns),
        values=tuple(tuple(round(v, 4) for v in row) for row in scores.tolist()),
        row_axis="block",
        column_axis="head",
        note="Sum of the OV circuit's eigenvalues by the sum of their lengths: 1 copies, "
        "-1 holds back what it sees.",
        follow=FollowUp(
            tool="circuits",
            options={"view": options.view},
            rows=tuple({"head": f"{block}.heads:"} for block in named),
            columns=tuple({"head": str(head)} for head in columns),
        ),
    )


TITLES = {
    "OV": ("attended to", "promotes", "logits, before the final norm's scale"),
    "QK": ("query", "attends to", "score, before the softmax"),
}


def _pairs(unit: str, options: Circuits.Options, found: Pairs, context: ToolContext) -> Table:
    row, column, what = TITLES[options.view]
    said = (words(each.tolist(), context.texts) for each in (found.rows, found.columns))
    return Table(
        name="largest",
        title=f"{unit}: the largest cells of {options.view}",
        columns=columns(("row", row), ("column", column), "value"),
        rows=tuple(
            (one, other, round(value, 4))
            for one, other, value in zip(*said, found.values.tolist(), strict=True)
        ),
        note=f"Of all words by all words; {what}, less the row's mean.",
    )


def _grid(
    unit: str, options: Circuits.Options, circuit: Circuit, found: Pairs, context: ToolContext
) -> Grid:
    dataset = context.texts
    named = [word_id(word, dataset, "words") for word in options.words.split()]
    down, across = (
        named or list(dict.fromkeys(ids.tolist()))[:SHOWN] for ids in (found.rows, found.columns)
    )
    cells = circuit.rows(torch.tensor(down))[:, across]
    row, column, what = TITLES[options.view]
    return Grid(
        name="words",
        title=f"{unit}: {options.view} between words",
        rows=words(down, dataset),
        columns=words(across, dataset),
        values=tuple(tuple(round(v, 4) for v in line) for line in cells.tolist()),
        row_axis=row,
        column_axis=column,
        note=f"Cells: {what}, less the row's mean over all words.",
    )


# -------------------------------------------------------------- composition


class HeadPair(NamedTuple):
    """How far an earlier head and a later one fit together."""

    kind: Kind
    early: str
    late: str
    score: float


def _joints(
    specimen: Specimen, anatomy: TransformerWeights, unit: str, at: tuple[int, int]
) -> Iterator[HeadPair]:
    """This head with every head of every other layer, each way it can be joined."""
    named = blocks(specimen)
    for other in heads(specimen):
        block, head = head_of(other, specimen)
        there = (named.index(block), head)
        if there[0] == at[0]:
            continue
        early, late = sorted([(at, unit), (there, other)])
        for kind in KINDS:
            score = composition(anatomy, early[0], late[0], kind)
            yield HeadPair(kind, early[1], late[1], score)


def _composed(
    specimen: Specimen,
    anatomy: TransformerWeights,
    unit: str,
    at: tuple[int, int],
    options: Circuits.Options,
    context: ToolContext,
) -> list[Exhibit]:
    """One head beside all others, and its closest partners, against what chance gives."""
    context.progress(0.5, "pairs of heads")
    found = list(_joints(specimen, anatomy, unit, at))
    if not found:
        raise AuditgameError("view: the model has one layer only, so no head reads another's")
    rng = torch.Generator().manual_seed(Seed.of(0).child("chance").integer())
    width, inner = anatomy.layers[0].query.shape[1:]
    usual = chance(width, inner, rng)
    return [_partners(unit, found, usual), _closest(found, usual, options.top)]


def _partners(unit: str, found: list[HeadPair], usual: float) -> Grid:
    scores = {(j.kind, j.late if j.early == unit else j.early): j.score for j in found}
    others = tuple(dict.fromkeys(other for _, other in scores))
    return Grid(
        name="composition",
        title=f"{unit} with heads of other layers",
        rows=KINDS,
        columns=others,
        values=tuple(tuple(round(scores[kind, o], 4) for o in others) for kind in KINDS),
        row_axis="read as",
        column_axis="other head",
        note=f"The later reads the earlier as query, key or value. Random weights: {usual:.3f}.",
        follow=FollowUp(
            tool="circuits",
            options={"view": "composition"},
            columns=tuple({"head": other} for other in others),
        ),
    )


def _closest(found: list[HeadPair], usual: float, top: int) -> Table:
    ranked = sorted(found, key=lambda joint: -joint.score)[:top]
    return Table(
        name="closest",
        title="The closest pairs",
        columns=columns(
            ("input", "read as"), "earlier_head", "later_head", "score", ("excess", "beyond random")
        ),
        rows=tuple((*j[:3], round(j.score, 4), round(j.score - usual, 4)) for j in ranked),
    )
