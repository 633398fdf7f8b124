"""What would the model say, if it had to answer after each layer?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Curve, Exhibit, FollowUp, Grid, Table, columns
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext, model_title
from auditgame.tools.transformer.layerwise import ROWS, CellContent, Show, grid
from auditgame.tools.transformer.prompts import Prompt, asked, labels, prompts
from auditgame.tools.transformer.residual_stream import batches, layers, streams
from auditgame.tools.transformer.targets import FollowedWordOptions, follow, margin, rivals


class LogitLens(Tool):
    """At which layer, and over which word, does the answer of a text appear?

    The stream of numbers that runs through the model is read out after every layer as if
    it were the last one: final norm, then unembedding. The lowest row of the grid is the
    model's real output.

    Reading it: each cell names the word the model would say next at that place. The number is
    how likely it finds it, or what you choose: the probability or the rank of a word you
    follow, its margin in logits, or how far the whole distribution still is from the final
    one (KL, in nats; 0 in the lowest row).
    The curve shows the margin for the answer alone, beside the clean siblings. Measured on
    planted models of two layers: a rare word or a phrase flips the answer just after the first,
    far earlier than an ordinary word could; a year or a brand flips it only in the last.

    How it misleads: early layers write in directions that the unembedding was never fitted
    to, so an unreadable early row does not mean that nothing is known there: the tuned lens
    translates them. The final norm
    divides by the length of the stream, so compare logit differences beside the norm in the
    table. A clean model may decide early as well: look at the siblings.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; the limits are those
    shown by Belrose et al. 2023, arXiv:2303.08112.
    """

    name = "logit_lens"
    title = "Logit lens"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Which text is read, and which number fills the cells?"""

        texts: int = Field(
            1,
            ge=1,
            le=400,
            title="Texts for the mean",
            description="Average the curve over this many pool texts, from the example on.",
        )
        show: Show = Field(
            "word",
            title="Cells show",
            description="word: probability of the likeliest word. probability, rank: of the word "
            "followed. answer: its logit less its best rival's. kl: nats from the end.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Answer",
            description="Class or word to follow; empty follows the model's own answer, and in "
            "'probability' and 'rank' its own next word at each place.",
        )
        last: int = Field(
            64,
            ge=1,
            le=2000,
            title="Words shown",
            description="At most so many columns, the text's last; only these are computed.",
            json_schema_extra={"fine": True},
        )
        references: bool = Field(
            True, title="Siblings", description="Draw the clean siblings' curve as well."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe for each text, on the specimen and on each sibling drawn."""
        return len(_texts(options, context)) * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The grid of the first text, the answer's curve and its numbers."""
        ids = _texts(options, context)
        first, ends = _collect(specimen, ids, context)
        answer = _answer(options, context, specimen.unembed(ends[-1, :1])[0])
        cells = _grid(specimen, context, options, ids[0], first, answer)
        curves = {"specimen": _course(specimen, ends, answer)}
        for number, reference in enumerate(_controls(options, context), 1):
            _, theirs = _collect(reference, ids, context)
            curves[f"reference_{number}"] = _course(reference, theirs, answer)
        name = context.texts.words[answer]
        return [cells, _curve(curves, name, len(ids)), _numbers(curves, name, len(ids))]


class Step(NamedTuple):
    """What the stream says of an answer after one layer, and how long it is (means over texts)."""

    layer: str
    margin: float
    probability: float
    norm: float


def _texts(options: LogitLens.Options, context: ToolContext) -> Int[Tensor, "n t"]:
    return prompts(options, context, options.texts)


def _controls(options: LogitLens.Options, context: ToolContext) -> tuple[Specimen, ...]:
    return context.references if options.references else ()


def _collect(
    specimen: Specimen, ids: Int[Tensor, "n t"], context: ToolContext
) -> tuple[Float[Tensor, "layer t d"], Float[Tensor, "layer n d"]]:
    """The first text's streams, and every text's where its answer is read."""
    first: Tensor | None = None
    found: list[Tensor] = []
    for part in batches(ids):
        context.progress(len(found) * len(part) / len(ids), "reading texts")
        whole = streams(specimen, part)
        first = whole[:, 0] if first is None else first
        last = specimen.texts.lengths(part) - 1
        found.append(whole[:, torch.arange(len(part)), last])
    assert first is not None, "there is at least one text"
    return first, torch.cat(found, 1)


def _answer(options: LogitLens.Options, context: ToolContext, logits: Float[Tensor, " v"]) -> int:
    return follow(FollowedWordOptions(target=options.target), logits, context.texts).answer


def _course(specimen: Specimen, ends: Float[Tensor, "layer n d"], answer: int) -> list[Step]:
    """Layer by layer, what the places where the answer is read say of it."""
    among, steps = rivals(answer, specimen.texts), []
    for layer, stream in zip(layers(specimen), ends, strict=True):
        parts = [specimen.unembed(part) for part in stream.split(ROWS)]
        found = [
            torch.cat([margin(logits, answer, among) for logits in parts]),
            torch.cat([logits.softmax(1)[:, answer] for logits in parts]),
            stream.norm(dim=1),
        ]
        steps.append(Step(layer, *(float(each.mean()) for each in found)))
    return steps


def _grid(
    specimen: Specimen,
    context: ToolContext,
    options: LogitLens.Options,
    ids: Int[Tensor, " t"],
    whole: Float[Tensor, "layer t d"],
    answer: int,
) -> Grid:
    length = int(context.texts.lengths(ids[None]))
    shown = slice(max(0, length - options.last), length)
    return grid(
        "lens",
        "Logit lens",
        specimen,
        whole[:, shown],
        labels(ids[:length], context.texts)[shown],
        CellContent(options.show, answer, bool(options.target)),
        FollowUp(
            tool="direct_attribution",
            options=asked(options) | {"target": options.target},
            columns=tuple({"place": place} for place in range(length)[shown]),
        ),
        lambda done: context.progress(done, "reading out"),
    )


def _curve(curves: dict[str, list[Step]], name: str, n: int) -> Curve:
    return Curve(
        name="answer_curve",
        title=f"Where the answer '{name}' appears",
        series={
            who: tuple((float(i), round(step.margin, 4)) for i, step in enumerate(steps))
            for who, steps in curves.items()
        },
        titles={who: model_title(who) for who in curves},
        x_axis="layer (0: embedding)",
        y_axis="logit less its best rival",
        note=f"At the place where the answer is read; mean over {n} text(s).",
    )


def _numbers(curves: dict[str, list[Step]], name: str, n: int) -> Table:
    return Table(
        name="answer_table",
        title=f"The answer '{name}' layer by layer",
        columns=columns(
            "model", "layer", "logit_difference", "probability", ("norm", "stream norm")
        ),
        rows=tuple(
            (model_title(who), step.layer, *(round(value, 4) for value in step[1:]))
            for who, steps in curves.items()
            for step in steps
        ),
        note=f"Mean over {n} text(s).",
    )
