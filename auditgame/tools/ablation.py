"""Take units out: what does the model lose, and what becomes of a claim?"""

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
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Edit, Specimen
from auditgame.tools import Tool, ToolContext

BATCH = 64
_HELD = {"mean": "their mean", "zero": "zero"}


class UnitAblation(Tool):
    """What does the model lose without these units, and does a claim still come true?

    On the pool each unit is held at its mean, or at zero, so that it says the same of every
    input; in a text model neurons may be held too. With a claim, the units are taken out while
    the claim is enacted on fresh inputs: pictures by mean ablation; texts by restoration, which
    puts back what the unit said of the same text without the trigger, where the answer is read.

    Reading it: units that carry a claim make its share fall far more than random units of
    the same site do, while the accuracy on ordinary inputs stays. Measured on planted
    patches: no single channel carries one (one leaves .93 of the effect); the 8 best of 64
    bring it to .25 to .35 at a cost of 1 to 2 points. In texts one right head or MLP brings
    1.0 down to between .00 and .17; a random one leaves .9.

    How it misleads: a unit can matter and yet be no part of the flaw: look at the accuracy
    column. Heads serve many purposes, so mean ablation of a head breaks ordinary reading
    too. What several units carry together does not show when they are tried singly.

    Source: causal ablation: Morcos et al. 2018, arXiv:1803.06959; restoring clean values:
    Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262.
    """

    name = "ablation"
    title = "Unit ablation"
    asks = "What changes its answer?"
    modality = frozenset({"image", "text"})
    needs_sites = True

    class Options(Record):
        """Which units, and which claim, if any."""

        units: tuple[str, ...] = Field(
            min_length=1,
            max_length=8,
            title="Units",
            description="SITE:INDEX, for example conv3:17; up to 8 of one site on pictures, "
            "2 heads or MLPs on texts (without a claim, up to 8 neurons).",
            json_schema_extra={"widget": "unit"},
        )
        hold: Literal["mean", "zero"] = Field(
            "mean",
            title="Held at",
            description="On the pool: the unit's mean, or 0 (which a model may never have seen).",
            json_schema_extra={"fine": True},
        )
        family: str = Field(
            "",
            max_length=64,
            title="Family",
            description="Of the claim; empty for none.",
            json_schema_extra={"widget": "family"},
        )
        claim: dict[str, Any] = Field(
            {},
            title="Claim",
            description="What is enacted while the units are out.",
            json_schema_extra={"widget": "claim"},
        )
        n: int = Field(
            150,
            ge=20,
            le=1000,
            title="Inputs",
            description="For the claim.",
            json_schema_extra={"fine": True},
        )
        controls: int = Field(
            4,
            ge=0,
            le=16,
            title="Random draws",
            description="Other units to compare with.",
            json_schema_extra={"fine": True},
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Draws inputs and random units.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The pool twice; the claim's inputs once whole, once for each set of units, and once
        for each site whose values are needed."""
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
        """What the pool loses, class by class; with a claim, what is left of it."""
        _check(options, specimen)
        context.progress(0.0, "the pool without these units")
        exhibits: list[Exhibit] = [_losses(specimen, context, options)]
        if options.family:
            exhibits.append(_carried(specimen, context, options))
        return exhibits


def _check(options: UnitAblation.Options, specimen: Specimen) -> None:
    """A claim needs a mechanism that may be named; without one, neurons of texts will do."""
    neurons = [u for u in options.units if specimen.unit(u)[0].kind == "neuron"]
    if options.family or len(neurons) < len(options.units):
        check_units(specimen, options.units)


# ------------------------------------------------------------- on the pool


class PoolStatistics(NamedTuple):
    """What the pool looks like to a model: the answers, and each site's mean."""

    answers: Int[Tensor, " n"]
    means: dict[str, Tensor]


def pool_statistics(specimen: Specimen, inputs: Tensor, sites: list[Site]) -> PoolStatistics:
    """Answers, and the mean of each site over inputs and places (padding left out)."""
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
    """One row for each place of each input."""
    if inputs.is_floating_point():
        return value.permute(0, 2, 3, 1).flatten(0, 2)
    return value[specimen.texts.present(inputs)]


def mean_edits(
    specimen: Specimen, means: dict[str, Tensor], units: tuple[str, ...]
) -> dict[str, Edit]:
    """Edits that hold these units at their means, by site."""
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
        right = [_share(said[group] == pool.labels[group]) for said in (found.answers, after)]
        said = [_said(said, name, classes) for said in (found.answers, after)]
        rows.append((name, int(group.sum()), *right, *said))
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
        note=f"Units held at {_HELD[options.hold]}. 'Answered': share of the pool that is given "
        "this class.",
    )


def _said(answers: Int[Tensor, " n"], name: str, classes: tuple[str, ...]) -> float | None:
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
        raise AuditgameError("claim: it says nothing of any input; choose another target")
    draws, start = _draws(options, specimen), ablation.rate(())
    rows = [("nothing", "", start, 0.0), _row("these units", options.units, ablation, start)]
    for done, units in enumerate(draws):
        context.progress((1 + done) / (1 + len(draws)), "random units")
        rows.append(_row(f"random units {done + 1}", units, ablation, start))
    if draws:
        left = [row[2] for row in rows[2:]]
        rows.append(("random units, mean", "", float(np.mean(left)), start - float(np.mean(left))))
    return Table(
        name="claim_left",
        title="What is left of the claim",
        columns=columns(("removed", "taken out"), "units", ("share", "comes true"), "fall"),
        rows=tuple((who, what, round(share, 4), round(fall, 4)) for who, what, share, fall in rows),
        note=f"{claim.describe()} On {len(ablation.targets)} fresh inputs.",
    )


def _row(
    who: str, units: tuple[str, ...], ablation: Ablation, start: float
) -> tuple[str, str, float, float]:
    share = ablation.rate(units)
    return who, ", ".join(units), share, start - share
