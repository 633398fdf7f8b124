"""Direct logit attribution by head, MLP and neuron."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Curve, Exhibit, FollowUp, Grid, Table, columns
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.logit_attribution import Attribution, LogitParts
from auditgame.tools.transformer.prompts import asked, prompts, words
from auditgame.tools.transformer.residual_stream import blocks, ends
from auditgame.tools.transformer.targets import FollowedWord, FollowedWordOptions, follow, place_in


class DirectAttribution(Tool):
    """How much does each head, MLP and neuron add to the logit difference of answer and rival?

    The final residual stream is the sum of what all parts wrote. With the final norm's scale
    held at its value in this run, the logit difference is the same sum: of the
    embedding, every head, every MLP, and the biases.

    Reading it: a positive value writes towards the answer, a negative one against it. The
    parts sum to the logit difference; the table's last rows give both. Compare with the
    reference models: ordinary heads write the answer in them too. A cell opens the attention
    pattern of its head; the neurons of one MLP have a table of their own.

    How it misleads: it shows which part wrote the answer, not which found the evidence: a head
    that copies the trigger to the answer's position writes nothing for the answer itself; what
    it passes on is credited to the parts that read it. Reference models were trained from other
    seeds, so head 2 there is another head; compare sums by layer. For causes, use patching or
    ablation.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; in use:
    Wang et al. 2022, arXiv:2211.00593.
    """

    name = "direct_attribution"
    title = "Direct logit attribution"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(FollowedWordOptions):
        """Texts, answer, and the MLP whose neurons are listed."""

        texts: int = Field(
            1,
            ge=1,
            le=200,
            title="Texts for the mean",
            description="Mean over so many pool texts from the example on, each at its end.",
        )
        layer: int = Field(
            -1,
            ge=-1,
            le=999,
            title="Neurons of block",
            description="Whose neurons are listed; -1: the MLP that adds most.",
        )
        top: int = Field(
            12,
            ge=1,
            le=100,
            title="Neurons shown",
            description="Those with the largest contribution.",
            json_schema_extra={"fine": True},
        )
        references: bool = Field(
            True, title="Reference models", description="Show their mean as well."
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for the first text's answer; one a text on the specimen and each reference."""
        texts = len(_texts(options, context))
        return 1 + texts * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Heads by layer, all parts, sums by layer, one MLP's neurons."""
        if options.layer >= len(blocks(specimen)):
            raise Invalid(f"layer: the model has blocks 0 to {len(blocks(specimen)) - 1}")
        ids = _texts(options, context)
        places = _places(options, context, ids)
        logits = ends(specimen, ids[:1], places[:1])[0]
        followed = follow(options, logits, context.texts, _at_end(context, ids, places))
        context.progress(0.2, "adding up the parts")
        attribution = Attribution(specimen, followed, ids, places)
        own = attribution.parts()
        clean = []
        for reference in _controls(options, context):
            context.progress(0.5, "reference models")
            clean.append(Attribution(reference, followed, ids, places).parts())
        layer = options.layer if options.layer >= 0 else int(own.mlps.abs().argmax())
        return [
            _heads(
                "heads",
                "Heads",
                specimen,
                own,
                followed,
                asked(options) | {"place": options.place},
            ),
            *(
                [
                    _heads(
                        "reference_heads",
                        "Heads, mean of the reference models",
                        specimen,
                        _mean(clean),
                        followed,
                    )
                ]
                if clean
                else []
            ),
            _listed(specimen, own, _mean(clean) if clean else None, followed),
            _by_layer(own, _mean(clean) if clean else None),
            _neurons(attribution, layer, options.top),
        ]


def _texts(options: DirectAttribution.Options, context: ToolContext) -> Int[Tensor, "n t"]:
    return prompts(options, context, options.texts)


def _controls(options: DirectAttribution.Options, context: ToolContext) -> tuple[Specimen, ...]:
    return context.references if options.references else ()


def _places(
    options: DirectAttribution.Options, context: ToolContext, ids: Int[Tensor, "n t"]
) -> Int[Tensor, " n"]:
    """The position at which each text is read: its end, or the one that was chosen."""
    lengths = context.texts.lengths(ids)
    return torch.tensor([place_in(options, length) for length in lengths.tolist()])


def _at_end(context: ToolContext, ids: Int[Tensor, "n t"], places: Int[Tensor, " n"]) -> bool:
    return int(places[0]) == int(context.texts.lengths(ids[:1])) - 1


def _mean(found: Sequence[LogitParts]) -> LogitParts:
    return LogitParts(*(torch.stack(kind).mean(0) for kind in zip(*found, strict=True)))


def _heads(
    name: str,
    title: str,
    specimen: Specimen,
    parts: LogitParts,
    followed: FollowedWord,
    text: dict[str, str | int] | None = None,
) -> Grid:
    named, count = blocks(specimen), parts.heads.shape[1]
    leads = FollowUp(
        tool="attention",
        options=text or {},
        rows=tuple({"head": f"{block}.heads:"} for block in named),
        columns=tuple({"head": str(head)} for head in range(count)),
    )
    return Grid(
        name=name,
        title=f"{title}: contribution to {followed.words}",
        rows=tuple(named),
        columns=tuple(f"head {head}" for head in range(count)),
        values=tuple(tuple(round(v, 4) for v in row) for row in parts.heads.tolist()),
        row_axis="block",
        column_axis="head",
        note="In logits of the difference.",
        follow=None if text is None else leads,
    )


def _named(specimen: Specimen, parts: LogitParts) -> Iterator[tuple[str, float]]:
    """Every part by name, in the order in which it is written."""
    yield "embedding", float(parts.embed)
    for layer, block in enumerate(blocks(specimen)):
        for head, value in enumerate(parts.heads[layer].tolist()):
            yield f"{block}.heads:{head}", value
        yield f"{block} attention bias", float(parts.rests[layer])
        yield f"{block}.mlp:0", float(parts.mlps[layer])
    yield "final norm's bias", float(parts.bias)
    yield "sum of the parts", float(parts.total)
    yield "logit difference", float(parts.measured)


def _listed(
    specimen: Specimen, own: LogitParts, clean: LogitParts | None, followed: FollowedWord
) -> Table:
    """All parts in order, with the mean of the reference models."""
    theirs = dict(_named(specimen, clean)) if clean else {}
    rows = [
        (name, round(value, 4), *((round(theirs[name], 4),) if clean else ()))
        for name, value in _named(specimen, own)
    ]
    return Table(
        name="parts",
        title=f"Contribution of all parts to {followed.words}",
        columns=columns(
            "part",
            "specimen",
            *((("reference_models", "mean of reference models"),) if clean else ()),
        ),
        rows=tuple(rows),
        note="In logits. The parts sum to the model's logit difference, up to rounding.",
    )


def _by_layer(own: LogitParts, clean: LogitParts | None) -> Curve:
    """What attention and MLP of each block add together."""

    def points(values: Float[Tensor, " layer"]) -> tuple[tuple[float, float], ...]:
        return tuple((float(layer), round(value, 4)) for layer, value in enumerate(values.tolist()))

    series = {"attention": own.heads.sum(1) + own.rests, "mlp": own.mlps}
    if clean:
        series["reference_attention"] = clean.heads.sum(1) + clean.rests
        series["reference_mlp"] = clean.mlps
    return Curve(
        name="layers",
        title="Contribution by layer",
        series={name: points(values) for name, values in series.items()},
        titles={
            "mlp": "MLP",
            "reference_attention": "attention, reference models",
            "reference_mlp": "MLP, reference models",
        },
        x_axis="block",
        y_axis="contribution in logits",
    )


def _neurons(attribution: Attribution, layer: int, top: int) -> Table:
    """The neurons that contribute most, with the word each promotes and suppresses most."""
    found = attribution.neurons(layer)
    weights, dataset = attribution.weights, attribution.specimen.texts
    order = found.adds.abs().argsort(descending=True)[:top]
    writes = weights.layers[layer].writes[order]
    votes = weights.normalise(writes, writes) * weights.gain @ weights.unembedding.T
    named = [words(pick.indices.tolist(), dataset) for pick in (votes.max(1), votes.min(1))]
    block = blocks(attribution.specimen)[layer]
    return Table(
        name="neurons",
        title=f"Neurons of {block}",
        columns=columns(
            "neuron",
            "activation",
            "contribution",
            "promotes",
            "suppresses",
        ),
        rows=tuple(
            (
                f"{block}.neurons:{neuron}",
                round(float(found.activation[neuron]), 4),
                round(float(found.adds[neuron]), 4),
                up,
                down,
            )
            for neuron, up, down in zip(order.tolist(), *named, strict=True)
        ),
        note=f"All neurons: {float(found.adds.sum()):.4f}; the bias: {float(found.rest):.4f}.",
    )
