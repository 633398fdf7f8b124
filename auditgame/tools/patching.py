"""Where does what sets two texts apart travel through the model?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.activation_patching import ActivationPatch, patched, values
from auditgame.tools.transformer.attention_heads import head_of
from auditgame.tools.transformer.residual_stream import blocks, ends, heads
from auditgame.tools.transformer.targets import FollowedWord, follow, place_in
from auditgame.tools.transformer.text_pairs import Pair, TwoTexts, pair

SITES = {"residual": "residual stream", "attn": "attention's output", "mlp": "MLP's output"}
"""What is patched by layer and place, by the ending of its sites."""


class Patching(Tool):
    """At which layer and place does a model carry what sets two texts apart?

    Two texts of the same length get different answers. One activation after the other is
    taken from a run on one text and put into a run on the other: the residual stream, what
    attention or an MLP writes, by layer and place; the output of each head. Denoising puts
    values of the clean text into the corrupt one and shows what is enough to restore the
    answer; noising does the reverse and shows what is needed.

    Reading it: a cell is the share of the difference between the two answers (in logits) that
    this one patch moves: 1 all of it, 0 nothing, below 0 the wrong way. Follow the bright
    cells of the residual stream: they start at the word that differs, jump where a head
    carries them on, and end where the answer is read. The embedding is left out: patched
    where the texts differ, it is 1 by construction. Places before the first difference are 0.

    How it misleads: texts that differ in much besides what you ask about show all of it;
    change one word and keep the length. A single head can be enough and yet not be needed,
    as others stand in for it: try both directions. Values above 1 are no mistake.

    Source: Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262; both
    directions: Heimersheim and Nanda 2024, arXiv:2404.15255.
    """

    name = "patching"
    title = "Activation patching"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(TwoTexts):
        """Which two texts, what is put in, and which way?"""

        what: Literal["all", "residual", "attn", "mlp", "heads"] = Field(
            "all", title="What is patched", description="One grid each; all of them is dearest."
        )
        direction: Literal["denoise", "noise"] = Field(
            "denoise",
            title="Direction",
            description="denoise: clean values into the corrupt run. noise: the reverse.",
        )
        head: str = Field(
            "",
            max_length=64,
            title="Head by place",
            description="For example block1.heads:2: patch it at each place as well.",
            json_schema_extra={"widget": "unit"},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe a patch; three for the two texts: their answers, and the values of one."""
        patches = _patches(options, specimen, pair(options, context))
        return 3 + sum(len(part) for part in patches.values())

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The two answers, then a grid for each kind of patch."""
        both = pair(options, context)
        race = _race(options, specimen, context, both)
        plan = _patches(options, specimen, both)
        into, source = both.corrupt, both.clean
        if options.direction == "noise":
            into, source = source, into
        every = [patch for part in plan.values() for patch in part]
        moved = patched(
            specimen,
            into,
            values(specimen, source, every),
            every,
            race.share(options.direction),
            race.place,
            lambda share: context.progress(share, f"{len(every)} patches"),
        )
        parts = moved.split([len(part) for part in plan.values()])
        shown = dict(zip(plan, parts, strict=True))
        view = _View(specimen, context, options, both)
        return [
            _answers(race, both, view),
            *(view.grid(kind, found) for kind, found in shown.items()),
        ]


class WordRivalry(NamedTuple):
    """Which words stand against each other where, and by how much in each text, in logits."""

    followed: FollowedWord
    place: int
    clean: float
    corrupt: float

    def share(self, direction: str) -> Callable[[Float[Tensor, "n v"]], Float[Tensor, " n"]]:
        """Which share of the way from the patched text to the other have these logits gone?"""
        answer, rival, _ = self.followed
        start, end = self.corrupt, self.clean
        if direction == "noise":
            start, end = end, start
        return lambda logits: (logits[:, answer] - logits[:, rival] - start) / (end - start)


def _race(
    options: Patching.Options, specimen: Specimen, context: ToolContext, both: Pair
) -> WordRivalry:
    """The clean text's answer against the corrupt one's, unless others are named."""
    place = place_in(options, len(both.clean))
    at_end = place == len(both.clean) - 1
    clean, corrupt = ends(specimen, both.both, torch.tensor([place, place]))
    followed = follow(options, clean, context.texts, at_end)
    other = follow(options.model_copy(update={"target": ""}), corrupt, context.texts, at_end)
    if not options.rival and other.answer != followed.answer:
        followed = FollowedWord(
            followed.answer,
            other.answer,
            f"'{context.texts.words[followed.answer]}' over '{context.texts.words[other.answer]}'",
        )
    margins = [float(row[followed.answer] - row[followed.rival]) for row in (clean, corrupt)]
    if abs(margins[0] - margins[1]) < 1e-6:
        raise AuditgameError(
            f"other: both texts get the same logits for {followed.words}; name another answer"
        )
    return WordRivalry(followed, place, *margins)


def _patches(
    options: Patching.Options, specimen: Specimen, both: Pair
) -> dict[str, list[ActivationPatch]]:
    """The patches of each grid, row by row. Places before the first difference are left out."""
    kinds = [kind for kind in SITES if options.what in ("all", kind)]
    places = range(both.first, len(both.clean))
    found = {
        kind: [
            ActivationPatch(f"{block}.{kind}", place)
            for block in blocks(specimen)
            for place in places
        ]
        for kind in kinds
    }
    if options.what in ("all", "heads"):
        found["heads"] = [
            ActivationPatch(f"{block}.heads", None, head)
            for block, head in (head_of(unit, specimen) for unit in heads(specimen))
        ]
    if options.head:
        block, head = head_of(options.head, specimen)
        found["head"] = [ActivationPatch(f"{block}.heads", place, head) for place in places]
    return found


class _View(NamedTuple):
    """What is needed to show the grids."""

    specimen: Specimen
    context: ToolContext
    options: Patching.Options
    both: Pair

    def grid(self, kind: str, found: Float[Tensor, " n"]) -> Grid:
        """One kind's cells, with the way each leads."""
        named = blocks(self.specimen)
        if kind == "heads":
            return self._show(
                kind,
                "each head at all places",
                named,
                tuple(f"head {n}" for n in range(len(found) // len(named))),
                found.view(len(named), -1),
                FollowUp(
                    tool="patching",
                    options={**self.options.model_dump(exclude={"head", "what"}), "what": "heads"},
                    rows=tuple({"head": f"{block}.heads:"} for block in named),
                    columns=tuple({"head": str(n)} for n in range(len(found) // len(named))),
                ),
            )
        rows = [self.options.head] if kind == "head" else [f"{block}.{kind}" for block in named]
        cells = torch.zeros(len(rows), len(self.both.clean))
        cells[:, self.both.first :] = found.view(len(rows), -1)
        extra = {"head": self.options.head} if kind == "head" else {}
        places = tuple({"place": place} for place in range(cells.shape[1]))
        leads = FollowUp(tool="attention", options={**self.both.asked, **extra}, columns=places)
        title = f"{self.options.head} by place" if kind == "head" else f"the {SITES[kind]}"
        return self._show(kind, title, rows, self.both.labels(self.context.texts), cells, leads)

    def _show(
        self,
        kind: str,
        what: str,
        rows: list[str],
        columns: tuple[str, ...],
        cells: Float[Tensor, "row column"],
        leads: FollowUp,
    ) -> Grid:
        way = ("Clean into corrupt", "Corrupt into clean")[self.options.direction == "noise"]
        return Grid(
            name=kind,
            title=f"{way}: {what}",
            rows=tuple(rows),
            columns=columns,
            values=tuple(tuple(round(v, 4) for v in row) for row in cells.tolist()),
            row_axis="patched",
            column_axis="head" if columns[0].startswith("head") else "place",
            note="Share of the difference moved: 1 all of it, 0 nothing.",
            follow=leads,
        )


def _answers(race: WordRivalry, both: Pair, view: _View) -> Table:
    dataset = view.context.texts
    rows = [
        (who, round(value, 4), dataset.decode(ids))
        for who, value, ids in zip(
            ("clean", "corrupt"), (race.clean, race.corrupt), both.both, strict=True
        )
    ]
    changed = int((both.clean != both.corrupt).sum())
    return Table(
        name="texts",
        title=f"The two texts, {race.followed.words}",
        columns=columns("text", "logit_difference", "words"),
        rows=tuple(rows),
        note=f"They differ in {changed} place(s).",
    )
