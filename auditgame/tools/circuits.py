"""Circuits of attention heads (OV, QK, composition), from the weights alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import Invalid
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
    composition,
    copying_scores,
    largest,
    ov_circuit,
    qk_circuit,
    random_composition,
)
from auditgame.tools.transformer.prompts import words
from auditgame.tools.transformer.residual_stream import blocks, heads
from auditgame.tools.transformer.targets import word_id

SHOWN = 16
"""Largest number of words along a side of the grid, unless they are named."""


class Circuits(Tool):
    """Which word does a head attend to, and which next word does it then promote?

    OV: if the head attends to a word (row), how far does it raise each next word (column)?
    QK: from which word (row) does it attend to which (column)? Composition: which earlier
    heads write what this one reads, as its query, key or value? All is computed from
    the weights; it costs no query and needs no text.

    Reading it: rows are centred, so that 0 is the mean of the row. A head that copies has
    a copying score near 1: words promote themselves. A head that serves one planted word
    stands out in QK, or promotes one answer from one word in OV. A composition score well
    above that of random weights suggests that two heads work together.

    How it misleads: a head rarely reads a bare embedding: after the first block the residual
    stream holds other information too, and positions are left out. Later layers may undo what
    OV promotes. Large cells often belong to words that never occur together. Composition shows
    what is possible, not what happens: confirm it with patching.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
    """

    name = "circuits"
    title = "Circuits of heads"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Record):
        """Head, circuit, and words shown."""

        head: str = Field(
            "",
            max_length=64,
            title="Head",
            description="For example block1.heads:2; empty for the highest copying score.",
            json_schema_extra={"widget": "unit"},
        )
        view: Literal["OV", "QK", "composition"] = Field(
            "OV",
            title="Circuit",
            description="OV: what it writes. QK: where it attends. composition: with which heads.",
        )
        words: str = Field(
            "",
            max_length=1000,
            title="Words of the grid",
            description="Separated by spaces; empty for those of the largest cells.",
            json_schema_extra={"when": {"view": ["OV", "QK"]}},
        )
        top: int = Field(
            20,
            ge=1,
            le=200,
            title="Pairs shown",
            description="The largest cells.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """None: no example is sent."""
        return 0

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Every head's copying score, then one head's circuit."""
        weights = specimen.transformer_weights()
        if weights.turned and options.view == "QK":
            raise Invalid(
                "view: this model rotates queries and keys by position (rotary embedding), so QK "
                "on bare words is undefined; choose OV or composition"
            )
        context.progress(0.0, "copying scores")
        scores = copying_scores(weights)
        unit = options.head or _most(specimen, scores)
        block, head = head_of(unit, specimen)
        at = (blocks(specimen).index(block), head)
        overview = _overview(specimen, scores, options)
        if options.view == "composition":
            return [overview, *_composed(specimen, weights, unit, at, options, context)]
        circuit = (ov_circuit if options.view == "OV" else qk_circuit)(weights, *at)
        pairs = largest(circuit, options.top, lambda s: context.progress(s, "word pairs"))
        return [
            overview,
            _pairs(unit, options, pairs, context),
            _grid(unit, options, circuit, pairs, context),
        ]


def _most(specimen: Specimen, scores: Float[Tensor, "layer head"]) -> str:
    """The head with the highest copying score."""
    return heads(specimen)[int(scores.flatten().argmax())]


def _overview(
    specimen: Specimen, scores: Float[Tensor, "layer head"], options: Circuits.Options
) -> Grid:
    named, columns = blocks(specimen), range(scores.shape[1])
    return Grid(
        name="copying",
        title="Copying score of each head",
        rows=tuple(named),
        columns=tuple(f"head {head}" for head in columns),
        values=tuple(tuple(round(v, 4) for v in row) for row in scores.tolist()),
        row_axis="block",
        column_axis="head",
        note="Sum of the OV circuit's eigenvalues over the sum of their magnitudes: 1 copies, "
        "-1 suppresses the attended word.",
        follow=FollowUp(
            tool="circuits",
            options={"view": options.view},
            rows=tuple({"head": f"{block}.heads:"} for block in named),
            columns=tuple({"head": str(head)} for head in columns),
        ),
    )


TITLES = {
    "OV": ("attended", "promoted", "logits, before the final norm's scale"),
    "QK": ("query", "key", "score, before the softmax"),
}


def _pairs(unit: str, options: Circuits.Options, found: Pairs, context: ToolContext) -> Table:
    row, column, what = TITLES[options.view]
    pairs = (words(each.tolist(), context.texts) for each in (found.rows, found.columns))
    return Table(
        name="largest",
        title=f"{unit}: largest cells of {options.view}",
        columns=columns(("row", row), ("column", column), "value"),
        rows=tuple(
            (one, other, round(value, 4))
            for one, other, value in zip(*pairs, found.values.tolist(), strict=True)
        ),
        note=f"Over all pairs of words; {what}, minus the row's mean.",
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
        note=f"Cells: {what}, minus the row's mean over all words.",
    )


# -------------------------------------------------------------- composition


class HeadPair(NamedTuple):
    """The composition score of an earlier head and a later one."""

    kind: Kind
    early: str
    late: str
    score: float


def _joints(
    specimen: Specimen, weights: TransformerWeights, unit: str, at: tuple[int, int]
) -> Iterator[HeadPair]:
    """This head with every head of every other layer, by each kind of composition."""
    named = blocks(specimen)
    for other in heads(specimen):
        block, head = head_of(other, specimen)
        there = (named.index(block), head)
        if there[0] == at[0]:
            continue
        early, late = sorted([(at, unit), (there, other)])
        for kind in KINDS:
            score = composition(weights, early[0], late[0], kind)
            yield HeadPair(kind, early[1], late[1], score)


def _composed(
    specimen: Specimen,
    weights: TransformerWeights,
    unit: str,
    at: tuple[int, int],
    options: Circuits.Options,
    context: ToolContext,
) -> list[Exhibit]:
    """One head with all others, and the strongest pairs, compared with random weights."""
    context.progress(0.5, "pairs of heads")
    found = list(_joints(specimen, weights, unit, at))
    if not found:
        raise Invalid(
            "view: the model has a single layer, so no head reads another; choose OV or QK"
        )
    rng = torch.Generator().manual_seed(Seed.of(0).child("chance").integer())
    width, inner = weights.layers[0].query.shape[1:]
    usual = random_composition(width, inner, rng)
    return [_partners(unit, found, usual), _closest(found, usual, options.top)]


def _partners(unit: str, found: list[HeadPair], usual: float) -> Grid:
    scores = {(j.kind, j.late if j.early == unit else j.early): j.score for j in found}
    others = tuple(dict.fromkeys(other for _, other in scores))
    return Grid(
        name="composition",
        title=f"{unit}: composition with heads of other layers",
        rows=KINDS,
        columns=others,
        values=tuple(tuple(round(scores[kind, o], 4) for o in others) for kind in KINDS),
        row_axis="input",
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
        title="Strongest pairs",
        columns=columns(
            "input", "earlier_head", "later_head", "score", ("excess", "above random weights")
        ),
        rows=tuple((*j[:3], round(j.score, 4), round(j.score - usual, 4)) for j in ranked),
    )
