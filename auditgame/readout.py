"""What a model makes of inputs in one pass: its answers, and what each unit said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.specimen import Specimen

BATCH = 64


class Readout(NamedTuple):
    """Answers, and for each site what its units said of each input.

    Pictures: a channel's largest value over places. Texts: a neuron's value, a head's
    output, or the whole of a vector site (one unit), where the answer is read.
    """

    answers: Int[Tensor, " n"]
    said: dict[str, Float[Tensor, "n units d"]]


def read_out(model: Specimen, inputs: Tensor, sites: Sequence[str]) -> Readout:
    """One pass over the inputs, in batches."""
    answers: list[Tensor] = []
    said: dict[str, list[Tensor]] = {site: [] for site in sites}
    for part in inputs.split(BATCH):
        reading = model.run(part, keep=sites)
        answers.append(reading.classes.argmax(1))
        for site in sites:
            said[site].append(_said(reading.kept[site], part, model.site(site).kind))
    return Readout(torch.cat(answers), {site: torch.cat(parts) for site, parts in said.items()})


def _said(value: Tensor, inputs: Tensor, kind: str) -> Float[Tensor, "n units d"]:
    if inputs.is_floating_point():
        return value.amax((2, 3))[:, :, None]
    last = value[torch.arange(len(value)), (inputs != 0).sum(1).clamp(min=1) - 1]
    return last[:, None] if kind == "vector" else last if last.dim() == 3 else last[:, :, None]


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
