"""Tuned lens: the residual stream after each layer, translated for the unembedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.errors import Invalid
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.layer_translators import TunedTranslators, misses, ridge, tune
from auditgame.tools.transformer.layerwise import CellContent, Show, grid
from auditgame.tools.transformer.prompts import asked, labels, prompt
from auditgame.tools.transformer.residual_stream import batches, layers, streams
from auditgame.tools.transformer.targets import FollowedWordOptions, follow, place_in

HELD_OUT = 5
"""Every fifth text of the pool is held out."""
POSITIONS = 8192
"""Positions that the translators are fitted on, at most."""


class TunedLens(Tool):
    """What does each layer predict, once its representation is translated for the unembedding?

    The logit lens decodes an early layer as if it used the last one's representation. Here each
    layer first gets a translator: an affine map, fitted on texts of the pool, that brings its
    prediction as close to the model's final output as possible. It starts from the ridge
    regression onto the final stream and is then trained on the KL divergence.

    Reading it: as the logit lens. The table evaluates the translators: the KL divergence
    from the final output on held-out texts, before and after. Trust
    the grid where 'tuned' is well below 'plain'.

    How it misleads: a translator learns what usually follows, so an early cell may name what is
    likely after such texts, and not what this layer represents here. It was fitted on
    the pool: on unusual texts, such as triggered ones, it may translate wrongly. A strong
    translator can also compute what the layer itself does not represent. Small pools fit badly.

    Source: Belrose et al. 2023, arXiv:2303.08112; the regression onto the final stream: Din
    et al. 2023, arXiv:2303.09435.
    """

    name = "tuned_lens"
    title = "Tuned lens"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(FollowedWordOptions):
        """Text, the number shown in the cells, and the training of the translators."""

        show: Show = Field(
            "word",
            title="Cells show",
            description="word: probability of the most probable word; probability, rank: of the "
            "answer; answer: its logit minus the highest rival's; kl: nats from the output.",
        )
        pool: int = Field(
            120,
            ge=10,
            le=400,
            title="Training texts",
            description="The first of the pool; every fifth of them is held out.",
        )
        steps: int = Field(
            100,
            ge=0,
            le=2000,
            title="Steps",
            description="After the regression. For a model of GPT-2's size each takes seconds; "
            "0 for the regression alone.",
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the positions drawn in each step.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for the text, and one for each text of the pool that is used."""
        return 1 + len(context.examples.inputs[: options.pool])

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The grid, and the evaluation of the translators."""
        ids = prompt(options, context)
        learned, held_out = _pool(specimen, context, options)
        context.progress(0.0, "regression onto the last layer")
        start = ridge(learned)
        maps = _tuned(start, specimen, context, options, learned)
        ways = {
            "plain": held_out,
            "regression": start.translate(held_out),
            "tuned": maps.translate(held_out),
        }
        found = {way: misses(specimen.unembed, read) for way, read in ways.items()}
        tuned = maps.translate(streams(specimen, ids[None])[:, 0])
        return [
            _grid(specimen, context, options, tuned),
            _evaluation(specimen, found, held_out.shape[1]),
        ]


def _pool(
    specimen: Specimen, context: ToolContext, options: TunedLens.Options
) -> tuple[Float[Tensor, "layer m d"], Float[Tensor, "layer n d"]]:
    """The streams at every word of the pool's texts: training and held-out."""
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    texts = context.examples.inputs[: options.pool]
    length = int(context.texts.lengths(texts).max())
    numbers = torch.arange(len(texts))
    rows = len(next(batches(texts[:, :length])))
    for part, at in zip(texts[:, :length].split(rows), numbers.split(rows), strict=True):
        context.progress(float(at[0]) / len(texts), "reading the pool")
        whole, present = streams(specimen, part), context.texts.present(part)
        held_out = (at % HELD_OUT == HELD_OUT - 1)[:, None]
        found[0].append(whole[:, present & ~held_out])
        found[1].append(whole[:, present & held_out])
    learned, kept = (torch.cat(part, 1)[:, :POSITIONS] for part in found)
    if not kept.shape[1]:
        raise Invalid(f"pool: {len(texts)} texts are too few; a tuned lens needs {HELD_OUT}")
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


def _evaluation(
    specimen: Specimen, found: dict[str, Float[Tensor, " layer"]], places: int
) -> Table:
    """KL divergence from the output on held-out texts, by layer and way of decoding."""
    rows = zip(layers(specimen), *(miss.tolist() for miss in found.values()), strict=True)
    return Table(
        name="misses",
        title="KL divergence from the final output",
        columns=columns("layer", *found),
        rows=tuple((layer, *(round(value, 4) for value in values)) for layer, *values in rows),
        note=f"In nats, mean over {places} words of held-out texts. Lower is closer; plain is the "
        "logit lens.",
    )
