"""Logit lens: the residual stream after each layer, read as if it were the last."""

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
    """At which layer and position of a text does the answer appear?

    The residual stream is decoded after every layer as if it were the last one: final norm,
    then unembedding. The lowest row of the grid is the model's actual output.

    Reading it: each cell names the most probable next word at that position. The number is its
    probability, or what you choose: the probability or rank of a chosen word, its margin in
    logits, or the divergence of the whole distribution from the final one (KL, in nats; 0 in
    the lowest row). The curve shows the margin of the answer, with the reference models.
    Measured on planted models of two layers: a rare word or a phrase flips the answer right
    after the first, far earlier than an ordinary word could; a year or a brand flips it only
    in the last.

    How it misleads: early layers use directions that the unembedding was never fitted
    to, so an unreadable early row does not mean that nothing is represented there: the tuned
    lens translates them. The final norm divides by the norm of the stream, so compare logit
    differences together with the norm in the table. A clean model may decide early as well:
    compare with the reference models.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; the limits are those
    shown by Belrose et al. 2023, arXiv:2303.08112.
    """

    name = "logit_lens"
    title = "Logit lens"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Text, and the number shown in the cells."""

        texts: int = Field(
            1,
            ge=1,
            le=400,
            title="Texts for the mean",
            description="The curve is a mean over so many pool texts from the example on.",
        )
        show: Show = Field(
            "word",
            title="Cells show",
            description="word: probability of the most probable word; probability, rank: of the "
            "answer; answer: its logit minus the highest rival's; kl: nats from the output.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Answer",
            description="Class or word to follow; empty for the model's own answer, and in "
            "'probability' and 'rank' its own next word at each position.",
        )
        last: int = Field(
            64,
            ge=1,
            le=2000,
            title="Words shown",
            description="The last so many words of the text; only these are computed.",
            json_schema_extra={"fine": True},
        )
        references: bool = Field(
            True, title="Reference models", description="Show their curves as well."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each text, on the specimen and on each reference model shown."""
        return len(_texts(options, context)) * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The grid of the first text, and the answer's margin by layer as curve and table."""
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
    """Margin and probability of an answer after one layer, and the stream's norm; means."""

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
    """The streams of the first text, and of every text at the answer's position."""
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
    """Margin, probability and norm at the answer's position, layer by layer."""
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
        title=f"Margin of the answer '{name}' by layer",
        series={
            who: tuple((float(i), round(step.margin, 4)) for i, step in enumerate(steps))
            for who, steps in curves.items()
        },
        titles={who: model_title(who) for who in curves},
        x_axis="layer (0: embedding)",
        y_axis="logit minus highest rival",
        note=f"At the position where the answer is read; mean over {n} text(s).",
    )


def _numbers(curves: dict[str, list[Step]], name: str, n: int) -> Table:
    return Table(
        name="answer_table",
        title=f"The answer '{name}' by layer",
        columns=columns(
            "model", "layer", "logit_difference", "probability", ("norm", "norm of the stream")
        ),
        rows=tuple(
            (model_title(who), step.layer, *(round(value, 4) for value in step[1:]))
            for who, steps in curves.items()
            for step in steps
        ),
        note=f"Mean over {n} text(s).",
    )
