"""Answers and unit activations of a model on many inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.specimen import Specimen

BATCH = 64


class UnitActivations(NamedTuple):
    """Answers, and for each site the activation of its units on each input.

    Images: a channel's maximum over positions. Texts: a neuron's value, a head's
    output, or the whole of a vector site (one unit), at the answer's position.
    """

    answers: Int[Tensor, " n"]
    activations: dict[str, Float[Tensor, "n units d"]]


def record_activations(model: Specimen, inputs: Tensor, sites: Sequence[str]) -> UnitActivations:
    """One pass over the inputs, in batches."""
    answers: list[Tensor] = []
    found: dict[str, list[Tensor]] = {site: [] for site in sites}
    for part in inputs.split(model.fitting(inputs, BATCH)):
        reading = model.run(part, keep=sites)
        answers.append(reading.classes.argmax(1))
        for site in sites:
            found[site].append(_values(reading.kept[site], model, part, model.site(site).kind))
    return UnitActivations(
        torch.cat(answers), {site: torch.cat(parts) for site, parts in found.items()}
    )


def _values(
    value: Tensor, model: Specimen, inputs: Tensor, kind: str
) -> Float[Tensor, "n units d"]:
    if inputs.is_floating_point():
        return peaks(value)[:, :, None]
    last = value[torch.arange(len(value)), model.texts.lengths(inputs) - 1]
    return last[:, None] if kind == "vector" else last if last.dim() == 3 else last[:, :, None]


def peaks(value: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """The maximum of each channel over positions.

    By pooling, since amax takes eight times as long on large channels-last maps.
    """
    return F.max_pool2d(value, value.shape[2:]).flatten(1)


class TopExamples(NamedTuple):
    """The inputs that activate each unit most, largest first; of equal ones the first."""

    peaks: Float[Tensor, "units k"]
    rows: Int[Tensor, "units k"]


def top_examples(
    model: Specimen, parts: Iterable[Float[Tensor, "b 3 h w"]], sites: Sequence[str], k: int
) -> dict[str, TopExamples]:
    """The k images with the highest maximum of each unit of these sites, in one pass.

    parts: batches of images, which may be a generator: only k rows of each unit are held in
    memory.
    """
    best = {
        site: TopExamples(torch.empty(units, 0), torch.empty(units, 0, dtype=torch.long))
        for site, units in ((site, model.site(site).units) for site in sites)
    }
    first = 0
    for part in parts:
        kept = model.run(part, keep=sites, whole=False).kept
        rows = torch.arange(first, first + len(part))
        best = {site: _ahead(best[site], peaks(kept[site]).T, rows, k) for site in sites}
        first += len(part)
    return best


def _ahead(
    best: TopExamples, peaks: Float[Tensor, "units b"], rows: Int[Tensor, " b"], k: int
) -> TopExamples:
    joined = torch.cat([best.peaks, peaks], 1)
    numbers = torch.cat([best.rows, rows.expand(len(peaks), -1)], 1)
    order = joined.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return TopExamples(joined.gather(1, order), numbers.gather(1, order))


def distance(
    some: Float[Tensor, "n units d"], others: Float[Tensor, "m units d"]
) -> Float[Tensor, " units"]:
    """The distance of each unit's means on two sets of inputs, in standard deviations of `others`.

    The distance of the two means over the root of the total variance; 0 where a unit
    is constant.
    """
    apart = (some.mean(0) - others.mean(0)).norm(dim=1)
    spread = others.var(0, correction=0).sum(1).sqrt()
    return torch.where(apart > 1e-6, apart / spread.clamp(min=1e-3), torch.zeros_like(apart))
