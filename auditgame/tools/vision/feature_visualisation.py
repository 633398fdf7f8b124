"""Feature visualisation: pictures painted by gradient ascent on what excites a unit."""

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
"""How well does each picture of the batch do, by what it is painted for?"""

WAKING = 16
"""For so many first steps, units at zero pass a tenth of the gradient on."""
LEAK = 0.1


class ImagesAtStep(NamedTuple):
    """The pictures as they were before this step."""

    step: int
    images: Float[Tensor, "n 3 h w"]


class Visualisation(NamedTuple):
    """What came out: pictures in [0, 1], the activation each reaches, what counts of them.

    seen: left, top, right, bottom of the part that the objectives can see at all.
    film: the pictures on the way, if asked for; the last frame is what came out.
    """

    images: Float[Tensor, "n 3 h w"]
    scores: Float[Tensor, " n"]
    seen: tuple[int, int, int, int]
    film: tuple[ImagesAtStep, ...] = ()


def awake(specimen: Specimen) -> dict[str, Edit]:
    """Edits that let units at zero pass some gradient on, while every value stays as it is.

    A unit `X` that is zero after its ReLU takes a tenth of the gradient of `X.pre`; without
    it, some pictures never leave grey. (After Lucid's redirected ReLU; Olah et al. 2017)
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
    """The value after a ReLU; where it is zero, some of its gradient goes round the ReLU."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, _before: Tensor) -> Tensor:
        """The value, as it is."""
        ctx.save_for_backward(value)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        """All of it to the value, and a tenth to what came before a zero."""
        (value,) = ctx.saved_tensors
        return slope, LEAK * slope * (value == 0)


class Adam:
    """Descent with a step size for each parameter (Kingma and Ba 2014, arXiv:1412.6980).

    Ours, since the first step of torch.optim loads a compiler, which takes seconds.
    """

    def __init__(self, parameters: Tensor, rate: float) -> None:
        self.parameters, self.rate, self.steps = parameters, rate, 0
        self.mean = torch.zeros_like(parameters)
        self.square = torch.zeros_like(parameters)

    @torch.no_grad()
    def step(self, slope: Tensor) -> None:
        """Move the parameters, in place, against this slope."""
        self.steps += 1
        self.mean.lerp_(slope, 0.1)
        self.square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        size = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.parameters.addcdiv_(self.mean, size, value=-self.rate / (1 - 0.9**self.steps))


def together(objectives: Sequence[Objective], each: int = 1) -> Score:
    """One score for a batch in which each objective has `each` pictures, one after another."""
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
    """Where objectives differ by their unit alone, each picture is read at its own, at once."""

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
    taken: Penalty,
    *,
    each: int = 1,
    frames: int = 0,
    report: Report = silent,
) -> Visualisation:
    """Paint `each` pictures for each objective, all at once, by Adam.

    All objectives start alike and are moved alike, so that a picture does not depend on which
    others are painted with it. taken: what is held against a picture. frames: how many
    pictures of the way are kept.
    Probes, for each picture: two for each step, two to see what the unit sees, one to score.
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
            edit = awake(specimen) if step < WAKING else None
            shown = moved(images, preset, side, rng)
            reading = specimen.run(shown, keep, edit, grad=True, whole=whole)
            loss = step / steps * taken(images) - score(reading)
            (slope,) = torch.autograd.grad(loss.sum(), parameters)
        if step in stops:
            film.append(ImagesAtStep(step, images.detach()))
        optimiser.step(slope)
        report((step + 1) / steps)
    images = canvas.paint(parameters).detach()
    film += [ImagesAtStep(steps, images)] if frames else []
    return Visualisation(images, score(specimen.run(images, keep, whole=whole)), seen, tuple(film))


def moments(steps: int, frames: int) -> set[int]:
    """When a film keeps a picture before its last: close together first, then ever rarer."""
    return {round(steps * (k / (frames - 1)) ** 2) for k in range(frames - 1)} - {steps}


def field(
    specimen: Specimen,
    score: Score,
    keep: list[str],
    images: Float[Tensor, "n 3 h w"],
    whole: bool = True,
) -> tuple[int, int, int, int]:
    """Which box of the picture can these scores see? Left, top, right, bottom.

    The smallest that holds every pixel with a gradient; the whole where there is none.
    whole: do the scores read the model's answers?
    """
    reading = specimen.run(images, keep, awake(specimen), grad=True, whole=whole)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(score(reading).sum(), reading.inputs)
    seen = slope.abs().amax((0, 1)) > 0
    height, width = seen.shape
    if not seen.any():
        return 0, 0, width, height
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
