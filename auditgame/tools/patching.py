"""Activation patching between two texts, by layer and position, and by head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.activation_patching import ActivationPatch, patched, values
from auditgame.tools.transformer.attention_heads import head_of
from auditgame.tools.transformer.residual_stream import blocks, ends, heads
from auditgame.tools.transformer.targets import FollowedWord, follow, place_in
from auditgame.tools.transformer.text_pairs import Pair, TwoTexts, pair

SITES = {"residual": "residual stream", "attn": "attention output", "mlp": "MLP output"}
"""What is patched by layer and position, by the last part of the site's name."""


class Patching(Tool):
    """At which layers and positions does a model carry the difference between two texts?

    Two texts of the same length get different answers. One activation at a time is
    taken from the run on one text and put into the run on the other: the residual stream, the
    output of attention or of an MLP, by layer and position; the output of each head. Denoising
    puts values of the clean text into the corrupt one and shows what suffices to restore the
    answer; noising does the reverse and shows what is necessary.

    Reading it: a cell is the share of the two texts' logit difference that
    this one patch moves: 1 all of it, 0 nothing, below 0 in the wrong direction. Follow the
    bright cells of the residual stream: they start at the word that differs, jump where a head
    moves the information, and end at the answer's position. The embedding is left out: patched
    where the texts differ, it is 1 by construction. Positions before the first difference are 0.

    How it misleads: texts that differ in more than the word in question show all differences;
    replace one word and keep the length. A single head can suffice without being necessary,
    as others can replace it: try both directions. Values above 1 are possible.

    Source: Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262; both
    directions: Heimersheim and Nanda 2024, arXiv:2404.15255.
    """

    name = "patching"
    title = "Activation patching"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(TwoTexts):
        """Two texts, what is patched, and the direction."""

        what: Literal["all", "residual", "attn", "mlp", "heads"] = Field(
            "all", title="What is patched", description="One grid each; all of them costs most."
        )
        direction: Literal["denoise", "noise"] = Field(
            "denoise",
            title="Direction",
            description="denoise: clean values into the corrupt run; noise: the reverse.",
        )
        head: str = Field(
            "",
            max_length=64,
            title="Head by position",
            description="For example block1.heads:2: patched at each position as well.",
            json_schema_extra={"widget": "unit"},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query a patch; three for the two texts: their answers, and the values of one."""
        patches = _patches(options, specimen, pair(options, context))
        return 3 + sum(len(part) for part in patches.values())

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The two answers, and a grid for each kind of patch."""
        both = pair(options, context)
        compared = _compared(options, specimen, context, both)
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
            compared.share(options.direction),
            compared.place,
            lambda share: context.progress(share, f"{len(every)} patches"),
        )
        parts = moved.split([len(part) for part in plan.values()])
        shown = dict(zip(plan, parts, strict=True))
        view = _View(specimen, context, options, both)
        return [
            _answers(compared, both, view),
            *(view.grid(kind, found) for kind, found in shown.items()),
        ]


class ComparedWords(NamedTuple):
    """The two words that are compared, the position, and the logit difference in each text."""

    followed: FollowedWord
    place: int
    clean: float
    corrupt: float

    def share(self, direction: str) -> Callable[[Float[Tensor, "n v"]], Float[Tensor, " n"]]:
        """The share of the logit difference between the texts that a patch moves."""
        answer, rival, _ = self.followed
        start, end = self.corrupt, self.clean
        if direction == "noise":
            start, end = end, start
        return lambda logits: (logits[:, answer] - logits[:, rival] - start) / (end - start)


def _compared(
    options: Patching.Options, specimen: Specimen, context: ToolContext, both: Pair
) -> ComparedWords:
    """The clean text's answer against the corrupt one's, unless others are chosen."""
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
        raise Invalid(
            f"other: both texts have the same logit difference for {followed.words}; choose "
            "another text or answer"
        )
    return ComparedWords(followed, place, *margins)


def _patches(
    options: Patching.Options, specimen: Specimen, both: Pair
) -> dict[str, list[ActivationPatch]]:
    """The patches of each grid, row by row, from the first difference of the texts on."""
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
                "each head, all positions",
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
        title = f"{self.options.head} by position" if kind == "head" else f"the {SITES[kind]}"
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
        way = "Corrupt into clean" if self.options.direction == "noise" else "Clean into corrupt"
        return Grid(
            name=kind,
            title=f"{way}: {what}",
            rows=tuple(rows),
            columns=columns,
            values=tuple(tuple(round(v, 4) for v in row) for row in cells.tolist()),
            row_axis="patched",
            column_axis="head" if kind == "heads" else "position",
            note="Share of the logit difference that the patch moves: 1 all, 0 nothing.",
            follow=leads,
        )


def _answers(compared: ComparedWords, both: Pair, view: _View) -> Table:
    dataset = view.context.texts
    rows = [
        (who, round(value, 4), dataset.decode(ids))
        for who, value, ids in zip(
            ("clean", "corrupt"), (compared.clean, compared.corrupt), both.both, strict=True
        )
    ]
    changed = int((both.clean != both.corrupt).sum())
    return Table(
        name="texts",
        title=f"The two texts, {compared.followed.words}",
        columns=columns("text", "logit_difference", "words"),
        rows=tuple(rows),
        note=f"They differ in {changed} word(s).",
    )
