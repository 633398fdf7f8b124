"""Head scores: previous-token, duplicate-token and induction heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.attention_heads import (
    HEAD_PATTERNS,
    HeadPattern,
    pattern_scores,
    repeated,
)
from auditgame.tools.transformer.residual_stream import blocks

CALLED = 0.4
"""From this score on a head is labelled with the pattern; nothing else depends on it."""


class HeadScores(Tool):
    """Which heads attend to the previous word, to the same word earlier, or to what followed it?

    The scores are measured on random words repeated once, where content gives no other reason
    to attend. A score is the mean attention to the word before (previous token), to the word's
    earlier occurrence (duplicate token), or to the word after that (induction: it predicts the
    next word). The same is measured on texts of the pool, and on the model with randomised
    weights.

    Reading it: 1 is all of a head's attention. Uniform attention gives about one divided by the
    position's number; the randomised model and the reference models show what is usual. A head
    that scores .4 or more is labelled with the pattern. Induction needs two heads: a
    previous-token head, and a later one that reads its output.

    How it misleads: a pattern on random words need not show on real text, and a head without
    one may still have a function. The head that serves a trigger often looks ordinary until the
    trigger occurs. A model trained on texts without repetition has no use for induction.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et
    al. 2022, arXiv:2209.11895; duplicate-token heads: Wang et al. 2022, arXiv:2211.00593.
    """

    name = "head_scores"
    title = "Head scores"
    asks = "Where does it look?"
    modality = frozenset({"text"})

    class Options(Record):
        """Texts, and the pattern shown in the grids."""

        habit: HeadPattern = Field(
            "induction", title="Pattern", description="The score shown in the two grids."
        )
        count: int = Field(
            16, ge=1, le=256, title="Random texts", description="Of words of the vocabulary."
        )
        length: int = Field(
            24,
            ge=2,
            le=256,
            title="Words repeated",
            description="In each text; fewer where the context is too short.",
        )
        texts: int = Field(
            32, ge=1, le=400, title="Pool texts", description="The first of the pool."
        )
        references: bool = Field(
            True, title="Reference models", description="Measure them as well."
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the texts and the randomised weights.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query a text, random or the pool's, on the specimen, on the model with randomised
        weights, and on each reference model."""
        controls = len(context.references) if options.references else 0
        return (options.count + len(_pool(options, context))) * (2 + controls)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """One pattern by layer and head; all scores of every head; highest and mean by model."""
        seed = Seed.of(options.seed)
        rng = torch.Generator().manual_seed(seed.child("texts").integer())
        most, size = context.dataset.shape[0], len(context.texts.words)
        length = min(options.length, (most - 1) // 2, size - 3)
        random = repeated(options.count, length, size, rng)
        fresh = torch.Generator().manual_seed(seed.child("weights").integer())
        models = {"specimen": specimen, "randomised weights": specimen.randomised(None, fresh)}
        if options.references:
            models |= {f"reference model {n}": m for n, m in enumerate(context.references, 1)}
        found: list[Scores] = []
        for who, model in models.items():
            report = _reporter(context, len(found) / len(models), who)
            texts = _pool(options, context)
            found.append(
                Scores(
                    who, pattern_scores(model, random, report), pattern_scores(model, texts, report)
                )
            )
        return [
            _grid("repeated", specimen, found[0].random, options.habit, "random words, repeated"),
            _grid("pool", specimen, found[0].pool, options.habit, "texts of the pool"),
            _every(specimen, found[0]),
            _controls(found),
        ]


class Scores(NamedTuple):
    """The scores of one model on random texts and on the pool."""

    who: str
    random: dict[HeadPattern, Float[Tensor, "layer head"]]
    pool: dict[HeadPattern, Float[Tensor, "layer head"]]


def _pool(options: HeadScores.Options, context: ToolContext) -> Int[Tensor, "n t"]:
    ids = context.examples.inputs[: options.texts]
    return ids[:, : int(context.texts.lengths(ids).max())]


def _reporter(context: ToolContext, start: float, who: str) -> Callable[[float], None]:
    return lambda share: context.progress(start, f"{who}: {share:.0%} of the texts")


def _grid(
    name: str,
    specimen: Specimen,
    found: dict[HeadPattern, Tensor],
    pattern: HeadPattern,
    where: str,
) -> Grid:
    named, values = blocks(specimen), found[pattern]
    return Grid(
        name=name,
        title=f"{pattern.capitalize()} score on {where}",
        rows=tuple(named),
        columns=tuple(f"head {head}" for head in range(values.shape[1])),
        values=tuple(tuple(round(v, 4) for v in row) for row in values.tolist()),
        row_axis="block",
        column_axis="head",
        note="Mean share of the head's attention.",
        follow=FollowUp(
            tool="attention",
            rows=tuple({"head": f"{block}.heads:"} for block in named),
            columns=tuple({"head": str(head)} for head in range(values.shape[1])),
        ),
    )


def _every(specimen: Specimen, mine: Scores) -> Table:
    rows = []
    for layer, block in enumerate(blocks(specimen)):
        for head in range(specimen.site(f"{block}.heads").units):
            scores = [float(mine.random[pattern][layer, head]) for pattern in HEAD_PATTERNS]
            pool = [float(mine.pool[pattern][layer, head]) for pattern in HEAD_PATTERNS]
            best = max(range(len(HEAD_PATTERNS)), key=scores.__getitem__)
            called = HEAD_PATTERNS[best] if scores[best] >= CALLED else ""
            rows.append((f"{block}.heads:{head}", called, *(round(v, 4) for v in scores + pool)))
    return Table(
        name="heads",
        title="All heads",
        columns=columns(
            "head",
            "pattern",
            *((pattern.replace(" ", "_"), pattern) for pattern in HEAD_PATTERNS),
            *(
                (f"pool_{pattern.replace(' ', '_')}", f"{pattern}, pool")
                for pattern in HEAD_PATTERNS
            ),
        ),
        rows=tuple(rows),
        note=f"Pattern: score of {CALLED} or more on random words.",
    )


def _controls(found: list[Scores]) -> Table:
    rows = []
    for scores in found:
        for pattern in HEAD_PATTERNS:
            random, pool = scores.random[pattern], scores.pool[pattern]
            numbers = (random.max(), random.mean(), pool.max(), pool.mean())
            rows.append((scores.who, pattern, *(round(float(v), 4) for v in numbers)))
    return Table(
        name="models",
        title="Scores by model",
        columns=columns(
            "model",
            "pattern",
            "highest",
            "mean",
            ("pool_highest", "highest, pool"),
            ("pool_mean", "mean, pool"),
        ),
        rows=tuple(rows),
        note="Over all heads. Randomised weights: the same network with random weights.",
    )
