"""What a model makes of inputs in one pass: its answers, and what each unit said."""

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
    """Answers, and for each site what its units said of each input.

    Pictures: a channel's largest value over places. Texts: a neuron's value, a head's
    output, or the whole of a vector site (one unit), where the answer is read.
    """

    answers: Int[Tensor, " n"]
    said: dict[str, Float[Tensor, "n units d"]]


def record_activations(model: Specimen, inputs: Tensor, sites: Sequence[str]) -> UnitActivations:
    """One pass over the inputs, in batches."""
    answers: list[Tensor] = []
    said: dict[str, list[Tensor]] = {site: [] for site in sites}
    for part in inputs.split(model.fitting(inputs, BATCH)):
        reading = model.run(part, keep=sites)
        answers.append(reading.classes.argmax(1))
        for site in sites:
            said[site].append(_said(reading.kept[site], model, part, model.site(site).kind))
    return UnitActivations(
        torch.cat(answers), {site: torch.cat(parts) for site, parts in said.items()}
    )


def _said(value: Tensor, model: Specimen, inputs: Tensor, kind: str) -> Float[Tensor, "n units d"]:
    if inputs.is_floating_point():
        return peaks(value)[:, :, None]
    last = value[torch.arange(len(value)), model.texts.lengths(inputs) - 1]
    return last[:, None] if kind == "vector" else last if last.dim() == 3 else last[:, :, None]


def peaks(value: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """What is the largest value of each channel, over places?

    Pooling, since amax takes eight times as long on large maps whose channels lie innermost.
    """
    return F.max_pool2d(value, value.shape[2:]).flatten(1)


class TopExamples(NamedTuple):
    """The inputs that excite each unit most, best first; of equal ones the first comes first."""

    peaks: Float[Tensor, "units k"]
    rows: Int[Tensor, "units k"]


def leading(
    model: Specimen, parts: Iterable[Float[Tensor, "b 3 h w"]], sites: Sequence[str], k: int
) -> dict[str, TopExamples]:
    """Which k pictures excite each unit of these sites most, at the best place? One pass.

    parts: batches of pictures, which may be drawn as they are asked for: k rows of each unit
    are held, however many pictures there are.
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
    """How far apart does each unit hold two sets of inputs, in standard deviations of `others`?

    The distance of the two means over the root of the total variance; 0 where a unit
    says the same of everything.
    """
    apart = (some.mean(0) - others.mean(0)).norm(dim=1)
    spread = others.var(0, correction=0).sum(1).sqrt()
    return torch.where(apart > 1e-6, apart / spread.clamp(min=1e-3), torch.zeros_like(apart))
