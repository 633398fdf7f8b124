"""What does each layer say, once it is translated into the language of the last?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.layer_translators import TunedTranslators, misses, ridge, tune
from auditgame.tools.transformer.layerwise import CellContent, Show, grid
from auditgame.tools.transformer.prompts import asked, labels, prompt
from auditgame.tools.transformer.residual_stream import batches, layers, streams
from auditgame.tools.transformer.targets import FollowedWordOptions, follow, place_in

HELD = 5
"""Every fifth text of the pool is kept out of the fit."""
PLACES = 8192
"""No more places than these are learned from."""


class TunedLens(Tool):
    """What does each layer already know of the answer, once its language is translated?

    The logit lens reads an early layer as if it spoke the last one's language. Here each layer
    gets a translator first: an affine map, learned on texts of the pool, that makes its
    reading as like the model's final output as it can. It starts from the ridge regression
    onto the final stream and then takes steps down the KL divergence.

    Reading it: as the logit lens. The table says what the translators are worth: the distance
    from the final output on texts that they were not learned from, before and after. Trust
    the grid where 'tuned' is well below 'plain'.

    How it misleads: a translator learns what usually follows, so an early cell may name what is
    likely after such texts, and not what this model holds at this place. It was learned on
    the pool: on unusual texts, such as triggered ones, it may translate wrongly. A strong
    translator can also work out what the layer does not say. Small pools fit badly.

    Source: Belrose et al. 2023, arXiv:2303.08112; the regression onto the final stream: Din
    et al. 2023, arXiv:2303.09435.
    """

    name = "tuned_lens"
    title = "Tuned lens"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(FollowedWordOptions):
        """Which text, which number fills the cells, and how long is learned?"""

        show: Show = Field(
            "word",
            title="Cells show",
            description="word: probability of the likeliest word. probability, rank: of the "
            "answer. answer: its logit less its best rival's. kl: nats from the end.",
        )
        pool: int = Field(
            120,
            ge=10,
            le=400,
            title="Texts to learn from",
            description="The first of the pool; every fifth is kept to measure with.",
        )
        steps: int = Field(
            100,
            ge=0,
            le=2000,
            title="Steps",
            description="After the regression. On a model of GPT-2's size each takes seconds; "
            "0 leaves the regression alone.",
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Draws the places of each step.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe for the text, and one for each text of the pool that is used."""
        return 1 + len(context.examples.inputs[: options.pool])

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The grid, and what the translators are worth."""
        ids = prompt(options, context)
        learned, held = _pool(specimen, context, options)
        context.progress(0.0, "regression onto the last layer")
        start = ridge(learned)
        maps = _tuned(start, specimen, context, options, learned)
        ways = {"plain": held, "regression": start.translate(held), "tuned": maps.translate(held)}
        found = {way: misses(specimen.unembed, read) for way, read in ways.items()}
        tuned = maps.translate(streams(specimen, ids[None])[:, 0])
        return [
            _grid(specimen, context, options, tuned),
            _worth(specimen, found, held.shape[1]),
        ]


def _pool(
    specimen: Specimen, context: ToolContext, options: TunedLens.Options
) -> tuple[Float[Tensor, "layer m d"], Float[Tensor, "layer n d"]]:
    """The streams at every word of the pool's texts: to learn from, and to measure with."""
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    texts = context.examples.inputs[: options.pool]
    length = int(context.texts.lengths(texts).max())
    numbers = torch.arange(len(texts))
    rows = len(next(batches(texts[:, :length])))
    for part, at in zip(texts[:, :length].split(rows), numbers.split(rows), strict=True):
        context.progress(float(at[0]) / len(texts), "reading the pool")
        whole, present = streams(specimen, part), context.texts.present(part)
        held = (at % HELD == HELD - 1)[:, None]
        found[0].append(whole[:, present & ~held])
        found[1].append(whole[:, present & held])
    learned, kept = (torch.cat(part, 1)[:, :PLACES] for part in found)
    if not kept.shape[1]:
        raise AuditgameError(f"pool: {len(texts)} texts are too few; a tuned lens needs {HELD}")
    return learned, kept


def _tuned(
    start: TunedTranslators,
    specimen: Specimen,
    context: ToolContext,
    options: TunedLens.Options,
    learned: Float[Tensor, "layer n d"],
) -> TunedTranslators:
    rng = torch.Generator().manual_seed(Seed.of(options.seed).child("tuned lens").integer())
    return tune(
        start,
        specimen.transformer_weights(),
        learned,
        options.steps,
        rng,
        lambda share: context.progress(share, "tuning"),
    )


def _grid(
    specimen: Specimen,
    context: ToolContext,
    options: TunedLens.Options,
    tuned: Float[Tensor, "layer t d"],
) -> Grid:
    dataset, length = context.texts, tuned.shape[1]
    place = place_in(options, length)
    logits = specimen.unembed(tuned[-1, place])
    answer = follow(options, logits, dataset, place == length - 1).answer
    return grid(
        "lens",
        "Tuned lens",
        specimen,
        tuned,
        labels(prompt(options, context), dataset),
        CellContent(options.show, answer, bool(options.target)),
        FollowUp(
            tool="direct_attribution",
            options=asked(options) | {"target": options.target},
            columns=tuple({"place": at} for at in range(length)),
        ),
        lambda done: context.progress(done, "reading out"),
    )


def _worth(specimen: Specimen, found: dict[str, Float[Tensor, " layer"]], places: int) -> Table:
    """How far each layer is from the end on held-out texts, by each way to read it."""
    rows = zip(layers(specimen), *(miss.tolist() for miss in found.values()), strict=True)
    return Table(
        name="misses",
        title="What the translators are worth",
        columns=columns("layer", *found),
        rows=tuple((layer, *(round(value, 4) for value in values)) for layer, *values in rows),
        note=f"KL from the final output in nats, mean over {places} words that were not learned "
        "from. Lower is nearer; plain is the logit lens.",
    )
