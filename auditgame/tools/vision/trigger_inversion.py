"""Trigger inversion: the smallest mask and pattern that change every image's answer to a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets import Examples
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import Box
from auditgame.specimen import Specimen
from auditgame.tools.vision.pixel_attribution import Report, blurred, silent

SUCCESS = 0.97
"""Attack success rate that a trigger must reach before it may shrink."""
RATE = 0.2
"""Adam's learning rate, twice the paper's; its betas are the paper's (0.5, 0.9)."""
COST = 1e-2
UP, DOWN = 1.15, 1.3
"""Weight of the mask's size in the loss: its start, and its factors of increase and decrease."""
SMALLEST = 0.01
"""Smallest mask size, in pixels, that the index uses."""
IMAGES = 64
"""Images of one pass, at most; a larger pass outgrows the processor's cache."""
STALLED = 20
SHRINK = 0.8
"""A mask that has not shrunk to this share of its size in so many steps has converged."""


class InvertedTriggers(NamedTuple):
    """The smallest trigger found for each class.

    masks in [0, 1]; sizes: sum of the mask, in pixels; rates: attack success rate, the share of
    other classes' images that get the class; converged: reached its rate and stopped shrinking.
    """

    classes: list[int]
    masks: Float[Tensor, "k h w"]
    patterns: Float[Tensor, "k 3 h w"]
    sizes: Float[Tensor, " k"]
    rates: Float[Tensor, " k"]
    converged: Bool[Tensor, " k"]


def squash(parameters: Tensor) -> Tensor:
    """Map unbounded parameters to [0, 1]: (tanh + 1) / 2."""
    return torch.tanh(parameters) / 2 + 0.5


def with_triggers(
    images: Float[Tensor, "b 3 h w"],
    masks: Float[Tensor, "k h w"],
    patterns: Float[Tensor, "k 3 h w"],
) -> Float[Tensor, "kb 3 h w"]:
    """Every image with every trigger, trigger by trigger: (1 - mask) x + mask pattern."""
    cover = masks[:, None, None]
    return ((1 - cover) * images[None] + cover * patterns[:, None]).flatten(0, 1)


class _Search:
    """The state of one trigger per class: Adam, the weight of its size, the best so far."""

    def __init__(self, classes: Sequence[int], size: tuple[int, int], rng: torch.Generator):
        k = len(classes)
        self.targets = torch.tensor(classes)
        self.free = [
            (0.5 * torch.randn(shape, generator=rng)).requires_grad_()
            for shape in ((k, *size), (k, 3, *size))
        ]
        self.moments = [(torch.zeros_like(f), torch.zeros_like(f)) for f in self.free]
        self.steps = torch.zeros(k)
        self.weight = torch.full((k,), COST)
        self.hits = torch.zeros(k)
        self.best = torch.full((k,), float("inf"))
        self.mark = torch.full((k,), float("inf"))
        self.since = torch.zeros(k)
        self.kept = [squash(f.detach()) for f in self.free]

    def active(self, room: int) -> Tensor:
        """The triggers to optimise: those that still shrink, at least half; at most `room`.

        The half is filled up with those that converged last.
        """
        moving = int((self.since < STALLED).sum())
        order = self.since.argsort(stable=True)
        return order[: min(room, max(moving, len(order) // 2, 1))]

    def step(self, specimen: Specimen, batch: Examples, rows: Tensor) -> None:
        """One step for these triggers on this batch of images, in passes of few triggers."""
        for some in rows.split(max(1, IMAGES // len(batch))):
            self._step(specimen, batch, some)

    def _step(self, specimen: Specimen, batch: Examples, rows: Tensor) -> None:
        with torch.enable_grad():
            free = [f[rows] for f in self.free]
            mask, pattern = (squash(f) for f in free)
            reading = specimen.run(with_triggers(batch.inputs, mask, pattern), grad=True)
            logits = reading.classes.unflatten(0, (len(rows), len(batch)))
            targets = self.targets[rows][:, None].expand(-1, len(batch))
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            sizes = mask.sum((1, 2))
            total = loss.unflatten(0, targets.shape).mean(1) + self.weight[rows] * sizes
            slopes = torch.autograd.grad(total.sum(), free)
        self._note(rows, (logits.argmax(2) == targets).float().mean(1), sizes.detach())
        self._move(rows, slopes)

    def _note(self, rows: Tensor, hits: Tensor, sizes: Tensor) -> None:
        """Keep the smallest that works; adapt the weight of the size to the success."""
        self.hits[rows] = 0.8 * self.hits[rows] + 0.2 * hits
        works = self.hits[rows] >= SUCCESS
        self.weight[rows] *= torch.where(works, UP, 1 / DOWN)
        better = works & (sizes < self.best[rows])
        chosen = rows[better]
        self.best[chosen] = sizes[better]
        for kept, free in zip(self.kept, self.free, strict=True):
            kept[chosen] = squash(free.detach()[chosen])
        self.since[rows] += self.best[rows].isfinite()
        shrunk = rows[self.best[rows] < SHRINK * self.mark[rows]]
        self.mark[shrunk], self.since[shrunk] = self.best[shrunk], 0.0

    def _move(self, rows: Tensor, slopes: Sequence[Tensor]) -> None:
        """Adam on these rows only, each with its own step count."""
        self.steps[rows] += 1
        for free, (mean, square), slope in zip(self.free, self.moments, slopes, strict=True):
            n = self.steps[rows].view(-1, *(1 for _ in slope.shape[1:]))
            mean[rows] = 0.5 * mean[rows] + 0.5 * slope
            square[rows] = 0.9 * square[rows] + 0.1 * slope**2
            size = (square[rows] / (1 - 0.9**n)).sqrt() + 1e-8
            free.data[rows] -= RATE * mean[rows] / (1 - 0.5**n) / size


def invert(
    specimen: Specimen,
    examples: Examples,
    classes: Sequence[int],
    steps: int,
    batch: int,
    rng: torch.Generator,
    report: Report = silent,
) -> InvertedTriggers:
    """Search for the smallest trigger of each class, together.

    Classes that have converged leave their share of the steps to the others. Queries:
    2 * classes * steps * batch, and one for each class and example at the end.
    (Neural Cleanse: Wang et al. 2019, IEEE S&P; no arXiv number)
    Raises AuditgameError where all examples are of one of the classes: none is left to change.
    """
    known = set(examples.labels.tolist())
    if len(known) == 1 and known <= set(classes):
        raise Invalid("examples: all are of one class; choose a pool of several")
    size = (examples.inputs.shape[2], examples.inputs.shape[3])
    search, left = _Search(classes, size, rng), steps * len(classes)
    while left:
        rows = search.active(left)
        drawn = torch.randint(len(examples), (batch,), generator=rng)
        search.step(specimen, examples.take(drawn), rows)
        left -= len(rows)
        report(1 - left / (steps * len(classes)))
    masks, patterns = search.kept
    rates = torch.stack(
        [
            _rate(specimen, examples, k, mask, pattern)
            for k, mask, pattern in zip(classes, masks, patterns, strict=True)
        ]
    )
    converged = (search.since >= STALLED) & (rates >= 0.9)
    return InvertedTriggers(list(classes), masks, patterns, masks.sum((1, 2)), rates, converged)


def _rate(
    specimen: Specimen, examples: Examples, target: int, mask: Tensor, pattern: Tensor
) -> Tensor:
    answers = specimen.predict(with_triggers(examples.inputs, mask[None], pattern[None]))
    return (answers == target)[examples.labels != target].float().mean()


class TriggerSquare(NamedTuple):
    """A trigger as one opaque square: a box and its colours, pixel by pixel."""

    box: Box
    pattern: tuple[tuple[str, ...], ...]


def trigger_square(
    mask: Float[Tensor, "h w"], pattern: Float[Tensor, "3 h w"], share: float = 0.75
) -> TriggerSquare:
    """The smallest square that holds this share of the squared mask, and its colours.

    Squaring reduces the influence of faint distant pixels; the side is at most a third of the
    image's. Colours are means over near pixels, weighted by the mask.
    """
    height, width = mask.shape
    for side in range(1, min(height, width) // 3 + 1):
        held = F.avg_pool2d(mask[None].square(), side, stride=1)[0] * side**2
        if held.max() >= share * mask.square().sum():
            break
    y, x = divmod(int(held.argmax()), held.shape[1])
    weight = blurred(mask[None], 1.0).clamp(min=1e-6)
    colours = (blurred(mask * pattern, 1.0) / weight)[:, y : y + side, x : x + side]
    levels = (colours.clamp(0, 1) * 255).round().int().permute(1, 2, 0).tolist()
    rows = tuple(tuple(f"#{bytes(rgb).hex()}" for rgb in row) for row in levels)
    return TriggerSquare(Box(x=x, y=y, w=side, h=side), rows)


def index(sizes: Sequence[float]) -> float:
    """Anomaly index of the smallest trigger: log(median / smallest).

    The median of an even number is the mean of the middle two (np.median). A class that every
    image gets anyway needs no trigger; its size is taken as SMALLEST.
    """
    least = np.maximum(sizes, SMALLEST)
    return float(np.log(np.median(least) / least.min()))
