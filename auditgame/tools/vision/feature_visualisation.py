"""Feature visualisation: images optimised by gradient ascent on an objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.specimen import Edit, Reading, Specimen
from auditgame.tools.vision.objectives import ChannelObjective, NeuronObjective, Objective
from auditgame.tools.vision.parametrisation import ImageParameters
from auditgame.tools.vision.pixel_attribution import Report, silent
from auditgame.tools.vision.regularisers import Penalty, moved

Score = Callable[[Reading], Float[Tensor, " n"]]
"""The objective's value for each image of the batch."""

LEAKY_STEPS = 16
"""In these first steps, units at zero pass on a share LEAK of the gradient."""
LEAK = 0.1


class ImagesAtStep(NamedTuple):
    """The images before this step."""

    step: int
    images: Float[Tensor, "n 3 h w"]


class Visualisation(NamedTuple):
    """Optimised images in [0, 1], and the objective's value of each.

    seen: left, top, right, bottom of the part that the objectives depend on.
    film: intermediate images, where asked for; the last are the result.
    """

    images: Float[Tensor, "n 3 h w"]
    scores: Float[Tensor, " n"]
    seen: tuple[int, int, int, int]
    film: tuple[ImagesAtStep, ...] = ()


def leaky_relu_edits(specimen: Specimen) -> dict[str, Edit]:
    """Edits by which units at zero pass on some gradient, without changing any value.

    A unit `X` that is zero after its ReLU passes a tenth of the gradient to `X.pre`; without
    it, some images stay grey. (After Lucid's redirected ReLU; Olah et al. 2017)
    """
    held: dict[str, Tensor] = {}

    def hold(name: str) -> Edit:
        def edit(value: Tensor) -> Tensor:
            held[name] = value
            return value

        return edit

    def leak(name: str) -> Edit:
        def edit(value: Tensor) -> Tensor:
            return _Leak.apply(value, held[name])

        return edit

    names = [name for name in specimen.sites if f"{name}.pre" in specimen.sites]
    return {f"{name}.pre": hold(name) for name in names} | {name: leak(name) for name in names}


class _Leak(torch.autograd.Function):
    """The value after a ReLU; where it is zero, some of its gradient bypasses the ReLU."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, _before: Tensor) -> Tensor:
        """The value, unchanged."""
        ctx.save_for_backward(value)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient to the value, and a tenth of it to the input of a zero."""
        (value,) = ctx.saved_tensors
        return slope, LEAK * slope * (value == 0)


class Adam:
    """The Adam optimiser (Kingma and Ba 2014, arXiv:1412.6980).

    Our own, since the first step of torch.optim loads a compiler, which takes seconds.
    """

    def __init__(self, parameters: Tensor, rate: float) -> None:
        self.parameters, self.rate, self.steps = parameters, rate, 0
        self.mean = torch.zeros_like(parameters)
        self.square = torch.zeros_like(parameters)

    @torch.no_grad()
    def step(self, slope: Tensor) -> None:
        """Update the parameters in place, against this gradient."""
        self.steps += 1
        self.mean.lerp_(slope, 0.1)
        self.square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        size = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.parameters.addcdiv_(self.mean, size, value=-self.rate / (1 - 0.9**self.steps))


def together(objectives: Sequence[Objective], each: int = 1) -> Score:
    """The score of a batch in which each objective has `each` consecutive images."""
    alike = {
        replace(o, unit=0) for o in objectives if isinstance(o, ChannelObjective | NeuronObjective)
    }
    units = [
        o.unit
        for o in objectives
        if isinstance(o, ChannelObjective | NeuronObjective)
        for _ in range(each)
    ]
    if len(alike) == 1 and len(units) == len(objectives) * each:
        return _by_unit(alike.pop(), units)

    def score(reading: Reading) -> Float[Tensor, " n"]:
        classes, outputs, inputs = (
            value.split(each) for value in (reading.classes, reading.output, reading.inputs)
        )
        kept = {name: value.split(each) for name, value in reading.kept.items()}
        parts = [
            objective.score(
                Reading(
                    classes[i],
                    partial(outputs.__getitem__, i),
                    {name: rows[i] for name, rows in kept.items()},
                    inputs[i],
                )
            )
            for i, objective in enumerate(objectives)
        ]
        return torch.cat(parts)

    return score


def _by_unit(objective: ChannelObjective | NeuronObjective, units: list[int]) -> Score:
    """A batched score for objectives that differ by their unit alone."""

    def score(reading: Reading) -> Float[Tensor, " n"]:
        own = reading.kept[objective.site][range(len(units)), units]
        return objective.score(replace(reading, kept={objective.site: own[:, None]}))

    return score


def maximise(
    specimen: Specimen,
    objectives: Sequence[Objective],
    canvas: ImageParameters,
    steps: int,
    rng: torch.Generator,
    penalties: Penalty,
    *,
    each: int = 1,
    frames: int = 0,
    report: Report = silent,
) -> Visualisation:
    """Optimise `each` images for each objective, all at once, by Adam.

    All objectives have the same initial noise and transforms, so that an image does not depend
    on the others of its batch. penalties: subtracted from the score. frames: number of
    intermediate images that are kept. Queries, for each image: two for each step, two for the
    part that the objective depends on, one for the final score.
    """
    objectives = [objective.on(specimen) for objective in objectives]
    keep = sorted(frozenset().union(*(objective.sites for objective in objectives)))
    whole = any(objective.answers for objective in objectives)
    score, preset = together(objectives, each), canvas.preset
    parameters = canvas.blank(len(objectives), rng, each).requires_grad_()
    seen = field(specimen, score, keep, canvas.paint(parameters).detach(), whole)
    side = max(seen[2] - seen[0], seen[3] - seen[1])
    optimiser, film, stops = Adam(parameters, preset.rate), [], moments(steps, frames)
    for step in range(steps):
        with torch.enable_grad():
            images = canvas.paint(parameters)
            edit = leaky_relu_edits(specimen) if step < LEAKY_STEPS else None
            shown = moved(images, preset, side, rng)
            reading = specimen.run(shown, keep, edit, grad=True, whole=whole)
            loss = step / steps * penalties(images) - score(reading)
            (slope,) = torch.autograd.grad(loss.sum(), parameters)
        if step in stops:
            film.append(ImagesAtStep(step, images.detach()))
        optimiser.step(slope)
        report((step + 1) / steps)
    images = canvas.paint(parameters).detach()
    film += [ImagesAtStep(steps, images)] if frames else []
    return Visualisation(images, score(specimen.run(images, keep, whole=whole)), seen, tuple(film))


def moments(steps: int, frames: int) -> set[int]:
    """The steps whose images are kept before the last: dense at first, then sparse."""
    return {round(steps * (k / (frames - 1)) ** 2) for k in range(frames - 1)} - {steps}


def field(
    specimen: Specimen,
    score: Score,
    keep: list[str],
    images: Float[Tensor, "n 3 h w"],
    whole: bool = True,
) -> tuple[int, int, int, int]:
    """The part of the image that these scores depend on: left, top, right, bottom.

    The smallest box with every pixel that has a gradient; the whole where none has.
    whole: whether the scores need the class logits.
    """
    reading = specimen.run(images, keep, leaky_relu_edits(specimen), grad=True, whole=whole)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(score(reading).sum(), reading.inputs)
    seen = slope.abs().amax((0, 1)) > 0
    height, width = seen.shape
    if not seen.any():
        return 0, 0, width, height
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
