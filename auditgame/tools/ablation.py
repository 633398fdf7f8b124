"""Unit ablation: what a model loses without some units, and what becomes of a claim."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.evaluation.claim_parsing import fresh_inputs, parse_claim
from auditgame.evaluation.mechanism import Ablation, check_units, random_units
from auditgame.exhibits import Exhibit, Table, columns
from auditgame.schema.cards import Site
from auditgame.schema.claims import Claim
from auditgame.schema.diagnosis import parse_unit
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Edit, Specimen
from auditgame.tools import Tool, ToolContext

BATCH = 64
_HELD_AT = {"mean": "their mean", "zero": "zero"}


class UnitAblation(Tool):
    """What does the model lose without these units, and does a claim still come true?

    On the pool each unit is held at its mean, or at zero, so that its value is the same for
    every input; in a text model neurons may be held too. With a claim, the units are ablated
    while the claim is applied to fresh inputs: images by mean ablation; texts by restoration,
    which puts back the unit's value on the same text without the trigger, at the position where
    the answer is read.

    Reading it: without the units that carry a claim, the share of inputs on which it comes true
    falls far more than without random units of the same site, while the accuracy on ordinary
    inputs stays. Measured on planted patches: no single channel carries one (without the best,
    .93 of the effect remains); without the 8 best of 64, .25 to .35 remain, at a cost of 1 to 2
    points of accuracy. In texts, restoring one right head or MLP brings 1.0 down to between .00
    and .17; after a random one, .9 remain.

    How it misleads: a unit can matter without being part of the flaw: look at the accuracy
    column. Heads serve many purposes, so mean ablation of a head also harms ordinary texts.
    What several units carry together does not show when they are ablated one at a time.

    Source: causal ablation: Morcos et al. 2018, arXiv:1803.06959; restoring clean values:
    Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262.
    """

    name = "ablation"
    title = "Unit ablation"
    asks = "What changes its answer?"
    modality = frozenset({"image", "text"})
    needs_sites = True

    class Options(Record):
        """Units, and a claim if one is to be tested."""

        units: tuple[str, ...] = Field(
            min_length=1,
            max_length=8,
            title="Units",
            description="SITE:INDEX, for example conv3:17; up to 8 of one site in image models, "
            "2 heads or MLPs in text models (without a claim, up to 8 neurons).",
            json_schema_extra={"widget": "unit"},
        )
        hold: Literal["mean", "zero"] = Field(
            "mean",
            title="Held at",
            description="On the pool: the unit's mean, or 0 (which may be an unusual value).",
            json_schema_extra={"fine": True},
        )
        family: str = Field(
            "",
            max_length=64,
            title="Family",
            description="Family of the claim; empty for no claim.",
            json_schema_extra={"widget": "family"},
        )
        claim: dict[str, Any] = Field(
            {},
            title="Claim",
            description="Applied while the units are ablated.",
            json_schema_extra={"widget": "claim"},
        )
        n: int = Field(
            150,
            ge=20,
            le=1000,
            title="Inputs",
            description="Fresh inputs for the claim.",
            json_schema_extra={"fine": True},
        )
        controls: int = Field(
            4,
            ge=0,
            le=16,
            title="Random draws",
            description="Sets of random units to compare with.",
            json_schema_extra={"fine": True},
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the inputs and the random units.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The pool twice; the claim's inputs once unchanged, once for each set of units, and
        once for each site whose values are needed."""
        _check(options, specimen)
        whole = 2 * len(context.examples)
        if not options.family:
            return whole
        sets = [options.units, *_draws(options, specimen)]
        sites = {parse_unit(unit)[0] for units in sets for unit in units}
        claim, examples = _asked(options, context)
        counted = int((claim.apply(examples, context.dataset).targets >= 0).sum())
        return whole + counted * (1 + len(sets) + len(sites))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Accuracy on the pool by class, before and after; with a claim, what remains of it."""
        _check(options, specimen)
        context.progress(0.0, "ablating on the pool")
        exhibits: list[Exhibit] = [_losses(specimen, context, options)]
        if options.family:
            exhibits.append(_carried(specimen, context, options))
        return exhibits


def _check(options: UnitAblation.Options, specimen: Specimen) -> None:
    """A claim needs units that a diagnosis may name; without one, neurons are allowed too."""
    neurons = [u for u in options.units if specimen.unit(u)[0].kind == "neuron"]
    if options.family or len(neurons) < len(options.units):
        check_units(specimen, options.units)


# ------------------------------------------------------------- on the pool


class PoolStatistics(NamedTuple):
    """A model's answers on the pool, and the mean of each site's units."""

    answers: Int[Tensor, " n"]
    means: dict[str, Tensor]


def pool_statistics(specimen: Specimen, inputs: Tensor, sites: list[Site]) -> PoolStatistics:
    """Answers, and the mean of each site over inputs and positions, padding left out."""
    answers: list[Tensor] = []
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for part in inputs.split(specimen.fitting(inputs, BATCH)):
        reading = specimen.run(part, keep=[site.name for site in sites])
        answers.append(reading.classes.argmax(1))
        for name, value in reading.kept.items():
            rows = _rows(value, part, specimen)
            sums[name] = sums.get(name, 0) + rows.sum(0)
            counts[name] = counts.get(name, 0) + len(rows)
    return PoolStatistics(torch.cat(answers), {name: sums[name] / counts[name] for name in sums})


def _rows(value: Tensor, inputs: Tensor, specimen: Specimen) -> Float[Tensor, "m ..."]:
    """One row for each position of each input."""
    if inputs.is_floating_point():
        return value.permute(0, 2, 3, 1).flatten(0, 2)
    return value[specimen.texts.present(inputs)]


def mean_edits(
    specimen: Specimen, means: dict[str, Tensor], units: tuple[str, ...]
) -> dict[str, Edit]:
    """Edits by site that hold these units at their means."""
    chosen: dict[str, list[int]] = {}
    for unit in units:
        site, index = specimen.unit(unit)
        chosen.setdefault(site.name, []).append(index)
    return {name: _hold(specimen.site(name), index, means[name]) for name, index in chosen.items()}


def _hold(site: Site, index: list[int], mean: Tensor) -> Edit:
    def edit(value: Tensor) -> Tensor:
        if site.kind == "vector":
            return mean.expand_as(value)
        value = value.clone()
        if site.kind in ("head", "neuron"):
            value[:, :, index] = mean[index]
        else:
            value[:, index] = mean[index][:, None, None]
        return value

    return edit


def _losses(specimen: Specimen, context: ToolContext, options: UnitAblation.Options) -> Table:
    units = options.units
    pool, classes = context.examples, context.dataset.classes
    sites = [specimen.site(name) for name in dict.fromkeys(parse_unit(u)[0] for u in units)]
    found = pool_statistics(specimen, pool.inputs, sites)
    levels = found.means
    if options.hold == "zero":
        levels = {name: torch.zeros_like(mean) for name, mean in levels.items()}
    after = specimen.predict(pool.inputs, mean_edits(specimen, levels, units))
    groups = {"all": torch.ones_like(pool.labels, dtype=torch.bool)}
    groups |= {name: pool.labels == k for k, name in enumerate(classes)}
    rows = []
    for name, group in groups.items():
        both = (found.answers, after)
        accuracy = [_share(answers[group] == pool.labels[group]) for answers in both]
        answered = [_answered(answers, name, classes) for answers in both]
        rows.append((name, int(group.sum()), *accuracy, *answered))
    return Table(
        name="pool",
        title=f"The pool without {', '.join(units)}",
        columns=columns(
            "class",
            "inputs",
            "accuracy_before",
            "accuracy_after",
            "answered_before",
            "answered_after",
        ),
        rows=tuple(rows),
        note=f"Units held at {_HELD_AT[options.hold]}. 'Answered': the share of the pool that "
        "gets this class as answer.",
    )


def _answered(answers: Int[Tensor, " n"], name: str, classes: tuple[str, ...]) -> float | None:
    return _share(answers == classes.index(name)) if name in classes else None


def _share(hits: Tensor) -> float | None:
    return round(float(hits.float().mean()), 4) if len(hits) else None


# ------------------------------------------------------------ with a claim


def _asked(options: UnitAblation.Options, context: ToolContext) -> tuple[Claim, Examples]:
    claim = parse_claim(options.family, options.claim, context.dataset)
    return claim, fresh_inputs(context.dataset, options.n, options.seed)


def _draws(options: UnitAblation.Options, specimen: Specimen) -> list[tuple[str, ...]]:
    rng = Seed.of(options.seed).child("random units").numpy()
    return [random_units(specimen, options.units, rng) for _ in range(options.controls)]


def _carried(specimen: Specimen, context: ToolContext, options: UnitAblation.Options) -> Table:
    claim, examples = _asked(options, context)
    ablation = Ablation(specimen, claim, examples)
    if not len(ablation.targets):
        raise Invalid("claim: it applies to no input; choose another target")
    draws, start = _draws(options, specimen), ablation.rate(())
    rows = [("nothing", "", start, 0.0), _row("these units", options.units, ablation, start)]
    for done, units in enumerate(draws):
        context.progress((1 + done) / (1 + len(draws)), "random units")
        rows.append(_row(f"random units {done + 1}", units, ablation, start))
    if draws:
        left = [row[2] for row in rows[2:]]
        mean = float(np.mean(left))
        rows.append(("random units, mean", "", mean, start - mean))
    return Table(
        name="claim_left",
        title="What remains of the claim",
        columns=columns(("removed", "ablated"), "units", ("share", "comes true"), "fall"),
        rows=tuple((who, what, round(share, 4), round(fall, 4)) for who, what, share, fall in rows),
        note=f"{claim.describe()} On {len(ablation.targets)} fresh inputs.",
    )


def _row(
    who: str, units: tuple[str, ...], ablation: Ablation, start: float
) -> tuple[str, str, float, float]:
    share = ablation.rate(units)
    return who, ", ".join(units), share, start - share
