"""Attention patterns: from which words each head reads."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, Tokens, columns
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.attention_heads import head_of, patterns, weighted
from auditgame.tools.transformer.prompts import Prompt, asked, labels, prompt, words


class AttentionPatterns(Tool):
    """Which words does each head attend to, from the position where the answer is read?

    Overview: for every head, the word it attends to most, and its row over the whole text, so
    that heads can be compared. Detail: one head from every word to every earlier word.
    Value-weighted: each weight times the norm of the head's output for that word, which is
    closer to what the head moves.

    Reading it: each row of a head's pattern sums to 1. Look for a head that leaves its usual
    position (the first word, the previous word) when one odd word is in the text, and compare
    with the same text without it. Measured on planted models: one head attends to a planted
    rare word; a planted year is first copied into a full stop, which a later head
    reads, so that no head at the end attends to the year itself.

    How it misleads: attention shows where a head reads, not how its output is used. Many heads
    attend to the first word by default, where their output is small: use the
    value-weighted view. A weight is no measure of importance; ablation is.

    Source: Vaswani et al. 2017, arXiv:1706.03762; that weights alone explain little: Jain and
    Wallace 2019, arXiv:1902.10186; value-weighted: Kobayashi et al. 2020, arXiv:2004.10102.
    """

    name = "attention"
    title = "Attention patterns"
    asks = "Where does it look?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Text, and the head shown in detail."""

        head: str = Field(
            "",
            max_length=64,
            title="Head in detail",
            description="For example block1.heads:2; empty for the one with the largest weight at "
            "the answer's position.",
            json_schema_extra={"widget": "unit"},
        )
        value_weighted: bool = Field(
            False,
            title="Value-weighted",
            description="Weights times the norm of the head's output for each word.",
        )
        place: int = Field(
            -1,
            ge=-1,
            title="Position",
            description="The word that attends, counted from 0; -1: the last, where the answer "
            "is read.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query."""
        return 1

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """All heads in overview, then one in detail."""
        ids = prompt(options, context)
        place = _place(options, len(ids))
        scores = (weighted if options.value_weighted else patterns)(specimen, ids)
        glance = [
            _peak(block, head, row)
            for block, score in scores.items()
            for head, row in enumerate(score[:, place])
        ]
        block, head = _chosen(options, specimen, glance)
        view = AttentionView(
            labels(ids, context.texts),
            words(ids.tolist(), context.texts),
            "weight times output norm" if options.value_weighted else "attention weight",
            place,
            asked(options) | {"value_weighted": options.value_weighted},
        )
        name, score = f"{block}.heads:{head}", scores[block][head]
        return [
            _overview(glance, view),
            _side_by_side(scores, view),
            _listed(glance, view),
            _detail(name, score, view),
            _from_place(name, score[place], view),
        ]


class AttentionView(NamedTuple):
    """A text, and the position that attends.

    places: a label for each position. words: the word at each. unit: what the numbers measure.
    place: the position that attends. text: the options that select the same text again.
    """

    places: tuple[str, ...]
    words: tuple[str, ...]
    unit: str
    place: int
    text: dict[str, str | int]

    @property
    def start(self) -> str:
        """The attending position in words."""
        last = self.place == len(self.words) - 1
        return "the answer's position" if last else f"'{self.places[self.place]}'"

    @property
    def here(self) -> dict[str, str | int]:
        """The options that select the same text and position."""
        return self.text | {"place": self.place}


class Peak(NamedTuple):
    """The position that a head attends to most from the attending one."""

    block: str
    head: int
    place: int
    weight: float


def _place(options: AttentionPatterns.Options, length: int) -> int:
    if options.place >= length:
        raise Invalid(f"place: {options.place}: choose 0 to {length - 1}, or -1")
    return options.place if options.place >= 0 else length - 1


def _peak(block: str, head: int, row: Float[Tensor, " k"]) -> Peak:
    place = int(row.argmax())
    return Peak(block, head, place, round(float(row[place]), 4))


def _chosen(
    options: AttentionPatterns.Options, specimen: Specimen, glance: list[Peak]
) -> tuple[str, int]:
    if not options.head:
        best = max(glance, key=lambda peak: peak.weight)
        return best.block, best.head
    return head_of(options.head, specimen)


def _overview(glance: list[Peak], view: AttentionView) -> Grid:
    blocks = list(dict.fromkeys(peak.block for peak in glance))
    rows = [[peak for peak in glance if peak.block == block] for block in blocks]
    return Grid(
        name="strongest",
        title=f"Most attended word of each head from {view.start}",
        rows=tuple(blocks),
        columns=tuple(f"head {peak.head}" for peak in rows[0]),
        values=tuple(tuple(peak.weight for peak in row) for row in rows),
        words=tuple(tuple(view.words[peak.place] for peak in row) for row in rows),
        row_axis="block",
        column_axis="head",
        note=f"Cells: the largest {view.unit}, and its word.",
        follow=FollowUp(
            tool="attention",
            options=view.here,
            rows=tuple({"head": f"{block}.heads:"} for block in blocks),
            columns=tuple({"head": str(peak.head)} for peak in rows[0]),
        ),
    )


def _side_by_side(scores: dict[str, Float[Tensor, "head q k"]], view: AttentionView) -> Grid:
    """Every head's row over the text, one below the other."""
    reach = view.place + 1
    rows = {
        f"{block}.heads:{head}": row[:reach]
        for block, score in scores.items()
        for head, row in enumerate(score[:, view.place].tolist())
    }
    return Grid(
        name="all_heads",
        title=f"All heads from {view.start}",
        rows=tuple(rows),
        columns=view.places[:reach],
        values=tuple(tuple(round(v, 4) for v in row) for row in rows.values()),
        row_axis="head",
        column_axis="to",
        note=f"Cells: {view.unit}.",
        follow=FollowUp(
            tool="attention", options=view.here, rows=tuple({"head": head} for head in rows)
        ),
    )


def _listed(glance: list[Peak], view: AttentionView) -> Table:
    return Table(
        name="strongest_list",
        title="Most attended words, as a list",
        columns=columns("head", "position", "word", ("weight", view.unit)),
        rows=tuple(
            (f"{peak.block}.heads:{peak.head}", peak.place, view.words[peak.place], peak.weight)
            for peak in sorted(glance, key=lambda peak: -peak.weight)
        ),
    )


def _detail(name: str, score: Float[Tensor, "q k"], view: AttentionView) -> Grid:
    return Grid(
        name="head_pattern",
        title=f"{name}, all positions",
        rows=view.places,
        columns=view.places,
        values=tuple(tuple(round(v, 4) for v in row) for row in score.tolist()),
        row_axis="from",
        column_axis="to",
        note=f"Cells: {view.unit}; a word attends to itself and to earlier words.",
        follow=FollowUp(
            tool="attention",
            options=view.text | {"head": name},
            rows=tuple({"place": place} for place in range(len(view.places))),
        ),
    )


def _from_place(name: str, row: Float[Tensor, " k"], view: AttentionView) -> Tokens:
    weights = tuple(round(v, 4) for v in row.tolist())
    return Tokens(
        name="head_tokens",
        title=f"{name} from {view.start}",
        tokens=view.words,
        weights=weights,
        limit=max(weights),
        note=f"Shade: {view.unit}.",
    )
