"""From where does each head fetch what it writes?"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, Tokens, columns
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.attention_heads import head_of, patterns, weighted
from auditgame.tools.transformer.prompts import Prompt, asked, labels, prompt, words


class AttentionPatterns(Tool):
    """Which words does each attention head look at, from the place where the answer is read?

    At a glance: for every head, the word it looks at most, and its whole row over the text, so
    that heads can be compared. In detail: one head from every word to every earlier word.
    Value-weighted: each weight times the length of what the head would write of that word,
    which is closer to what it really carries away.

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
            description="Weights times the length of what the head would write of each word.",
        )
        place: int = Field(
            -1,
            ge=-1,
            title="Place",
            description="From which word heads look, counted from 0; -1: from the last, where "
            "the answer is read.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe."""
        return 1

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """All heads at a glance, then one in detail."""
        ids = prompt(options, context)
        place = _place(options, len(ids))
        scores = (weighted if options.value_weighted else patterns)(specimen, ids)
        said = words(ids.tolist(), context.texts)
        glance = [
            _peak(block, head, row)
            for block, score in scores.items()
            for head, row in enumerate(score[:, place])
        ]
        block, head = _chosen(options, specimen, glance)
        view = AttentionView(
            labels(ids, context.texts),
            said,
            "weight times length written" if options.value_weighted else "attention weight",
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
    """How a text is looked at.

    places: a name for each place. words: what stands there. unit: what the numbers are. place:
    from where heads look. text: the options that ask for the same again.
    """

    places: tuple[str, ...]
    words: tuple[str, ...]
    unit: str
    place: int
    text: dict[str, str | int]

    @property
    def start(self) -> str:
        """Where do the heads look from, in words?"""
        last = self.place == len(self.words) - 1
        return "the answer's place" if last else f"'{self.places[self.place]}'"

    @property
    def here(self) -> dict[str, str | int]:
        """The options that ask for the same text from the same place."""
        return self.text | {"place": self.place}


class Peak(NamedTuple):
    """The place a head looks at hardest from where the answer is read."""

    block: str
    head: int
    place: int
    weight: float


def _place(options: AttentionPatterns.Options, length: int) -> int:
    if options.place >= length:
        raise AuditgameError(f"place: {options.place}: choose 0 to {length - 1}, or -1")
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
        title=f"What each head looks at from {view.start}",
        rows=tuple(blocks),
        columns=tuple(f"head {peak.head}" for peak in rows[0]),
        values=tuple(tuple(peak.weight for peak in row) for row in rows),
        words=tuple(tuple(view.words[peak.place] for peak in row) for row in rows),
        row_axis="block",
        column_axis="head",
        note=f"Cells: the largest {view.unit}, and the word it falls on.",
        follow=FollowUp(
            tool="attention",
            options=view.here,
            rows=tuple({"head": f"{block}.heads:"} for block in blocks),
            columns=tuple({"head": str(peak.head)} for peak in rows[0]),
        ),
    )


def _side_by_side(scores: dict[str, Float[Tensor, "head q k"]], view: AttentionView) -> Grid:
    """Every head's whole row over the text, one under the other."""
    reach = view.place + 1
    rows = {
        f"{block}.heads:{head}": row[:reach]
        for block, score in scores.items()
        for head, row in enumerate(score[:, view.place].tolist())
    }
    return Grid(
        name="all_heads",
        title=f"All heads side by side from {view.start}",
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
        title="The same as a list",
        columns=columns("head", ("position", "place"), "word", ("weight", view.unit)),
        rows=tuple(
            (f"{peak.block}.heads:{peak.head}", peak.place, view.words[peak.place], peak.weight)
            for peak in sorted(glance, key=lambda peak: -peak.weight)
        ),
    )


def _detail(name: str, score: Float[Tensor, "q k"], view: AttentionView) -> Grid:
    return Grid(
        name="head_pattern",
        title=f"{name} in detail",
        rows=view.places,
        columns=view.places,
        values=tuple(tuple(round(v, 4) for v in row) for row in score.tolist()),
        row_axis="from",
        column_axis="to",
        note=f"Cells: {view.unit}; a word sees itself and what stands before it.",
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
