"""Which habits do the attention heads have?"""

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
from auditgame.tools.transformer.attention_heads import HABITS, Habit, habits, repeated
from auditgame.tools.transformer.residual_stream import blocks

CALLED = 0.4
"""From this score on a head is called by its habit; it labels, and decides nothing."""


class HeadScores(Tool):
    """Which heads look at the word before, at the same word earlier, or at what followed it?

    Texts of random words, said twice over, leave a head nothing to go by but its habit. The
    score is the mean attention to the word before (previous token), to the word's earlier
    twin (duplicate token), or to what came after that twin (induction: it foretells the next
    word). The same is measured on texts of the pool, and on the model with redrawn weights.

    Reading it: 1 is all of a head's attention. An even spread gives about one divided by the
    place's number; the redrawn model and the siblings say what is usual. A head scored .4 or
    more is called by its habit. Induction needs two heads: a previous-token head, and a later
    one that reads what it wrote.

    How it misleads: a habit on random words need not show on real text, and a head that has
    none here may have a purpose all the same. A trigger's head is often ordinary until the
    trigger comes. A model whose texts never repeat themselves has no use for induction.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et
    al. 2022, arXiv:2209.11895; duplicate-token heads: Wang et al. 2022, arXiv:2211.00593.
    """

    name = "head_scores"
    title = "Head scores"
    asks = "Where does it look?"
    modality = frozenset({"text"})

    class Options(Record):
        """How many texts, how long, and which habit is mapped?"""

        habit: Habit = Field(
            "induction", title="Habit", description="Which score fills the first grid."
        )
        count: int = Field(
            16, ge=1, le=256, title="Random texts", description="Drawn from this vocabulary."
        )
        length: int = Field(
            24,
            ge=2,
            le=256,
            title="Words repeated",
            description="In each; fewer where the model's context is too short.",
        )
        texts: int = Field(
            32, ge=1, le=400, title="Pool texts", description="The first of the pool."
        )
        references: bool = Field(True, title="Siblings", description="Measure clean siblings too.")
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Draws the texts and the redrawn weights.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe a text, random or the pool's, on the specimen, on the model with redrawn
        weights, and on each sibling."""
        controls = len(context.references) if options.references else 0
        return (options.count + len(_pool(options, context))) * (2 + controls)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """One habit by layer and head; all habits of every head; the controls' extremes."""
        seed = Seed.of(options.seed)
        rng = torch.Generator().manual_seed(seed.child("texts").integer())
        most, size = context.dataset.shape[0], len(context.texts.words)
        length = min(options.length, (most - 1) // 2, size - 3)
        random = repeated(options.count, length, size, rng)
        fresh = torch.Generator().manual_seed(seed.child("weights").integer())
        models = {"specimen": specimen, "redrawn weights": specimen.randomised(None, fresh)}
        if options.references:
            models |= {f"sibling {n}": s for n, s in enumerate(context.references, 1)}
        found: list[Scores] = []
        for who, model in models.items():
            tell = _telling(context, len(found) / len(models), who)
            texts = _pool(options, context)
            found.append(Scores(who, habits(model, random, tell), habits(model, texts, tell)))
        return [
            _grid("repeated", specimen, found[0].random, options.habit, "random words, repeated"),
            _grid("pool", specimen, found[0].pool, options.habit, "texts of the pool"),
            _every(specimen, found[0]),
            _controls(found),
        ]


class Scores(NamedTuple):
    """How a model scores on random texts and on the pool."""

    who: str
    random: dict[Habit, Float[Tensor, "layer head"]]
    pool: dict[Habit, Float[Tensor, "layer head"]]


def _pool(options: HeadScores.Options, context: ToolContext) -> Int[Tensor, "n t"]:
    ids = context.examples.inputs[: options.texts]
    return ids[:, : int(context.texts.lengths(ids).max())]


def _telling(context: ToolContext, start: float, who: str) -> Callable[[float], None]:
    return lambda share: context.progress(start, f"{who}: {share:.0%} of the texts")


def _grid(
    name: str, specimen: Specimen, found: dict[Habit, Tensor], habit: Habit, where: str
) -> Grid:
    named, values = blocks(specimen), found[habit]
    return Grid(
        name=name,
        title=f"{habit.capitalize()} score on {where}",
        rows=tuple(named),
        columns=tuple(f"head {head}" for head in range(values.shape[1])),
        values=tuple(tuple(round(v, 4) for v in row) for row in values.tolist()),
        row_axis="block",
        column_axis="head",
        note="Mean share of a head's attention.",
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
            scores = [float(mine.random[habit][layer, head]) for habit in HABITS]
            pool = [float(mine.pool[habit][layer, head]) for habit in HABITS]
            best = max(range(len(HABITS)), key=scores.__getitem__)
            called = HABITS[best] if scores[best] >= CALLED else ""
            rows.append((f"{block}.heads:{head}", called, *(round(v, 4) for v in scores + pool)))
    return Table(
        name="heads",
        title="Every head",
        columns=columns(
            "head",
            ("pattern", "called"),
            *((habit.replace(" ", "_"), habit) for habit in HABITS),
            *((f"pool_{habit.replace(' ', '_')}", f"{habit}, pool") for habit in HABITS),
        ),
        rows=tuple(rows),
        note=f"Called by its habit from {CALLED} on, on random words.",
    )


def _controls(found: list[Scores]) -> Table:
    rows = []
    for scores in found:
        for habit in HABITS:
            random, pool = scores.random[habit], scores.pool[habit]
            numbers = (random.max(), random.mean(), pool.max(), pool.mean())
            rows.append((scores.who, habit, *(round(float(v), 4) for v in numbers)))
    return Table(
        name="models",
        title="What is usual",
        columns=columns(
            "model",
            ("pattern", "habit"),
            "highest",
            "mean",
            ("pool_highest", "highest, pool"),
            ("pool_mean", "mean, pool"),
        ),
        rows=tuple(rows),
        note="Over all heads. Redrawn weights: the same network with random weights.",
    )
