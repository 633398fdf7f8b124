"""Feature visualisation: pictures painted by gradient ascent on what excites a unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from auditgame.attribution import Report, silent
from auditgame.specimen import Edit, Reading, Specimen

Objective = Callable[[Reading], Float[Tensor, " n"]]
"""How excited is the unit that each picture of the batch is painted for?"""


@dataclass(frozen=True)
class Preset:
    """How are pictures painted?

    canvas: 'fourier' (smooth at first) or 'pixel'. contrast: sd of the first parameters.
    decay: how fast high frequencies are held back. gain: factor before the sigmoid.
    jitter (share of the side that the unit sees), turn (radians), zoom (share): the picture
    is moved at each step by up to so much. smooth: weight of the total variation, which
    grows from zero over the steps, since a penalty at the start leaves some units grey.
    rate: Adam's.
    coloured: mix channels as the data's colours are mixed.
    """

    canvas: Literal["fourier", "pixel"]
    contrast: float
    decay: float = 0.0
    gain: float = 1.0
    jitter: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0
    smooth: float = 0.0
    rate: float = 0.05
    coloured: bool = False


WAKING = 16
"""For so many first steps, units at zero pass a tenth of the gradient on."""
LEAK = 0.1

PRESETS: Mapping[str, Preset] = {
    "natural": Preset(
        canvas="fourier",
        contrast=0.15,
        decay=1.2,
        gain=25.0,
        jitter=0.125,
        turn=0.2,
        zoom=0.15,
        smooth=30.0,
        coloured=True,
    ),
    "raw": Preset(canvas="pixel", contrast=0.1),
}


class Painted(NamedTuple):
    """What came out: pictures in [0, 1], the activation each reaches, what counts of them.

    seen: left, top, right, bottom of the part that the objective can see at all.
    """

    images: Float[Tensor, "n 3 h w"]
    scores: Float[Tensor, " n"]
    seen: tuple[int, int, int, int]


class Canvas:
    """What picture do these parameters stand for? `colours` mixes the channels of each pixel.

    Fourier: sigmoid(C irfft2(gain * s_f * z)), where s_f = (f_low / max(f, f_low)) ** decay
    and f_low is one cycle per longer side. Pixel: sigmoid(C gain * z). (Olah, Mordvintsev
    and Schubert 2017, Feature Visualization, Distill)
    """

    def __init__(
        self, preset: Preset, size: tuple[int, int], colours: Float[Tensor, "3 3"] | None = None
    ) -> None:
        self.preset, self.size = preset, size
        self.colours = torch.eye(3)
        if preset.coloured and colours is not None:
            self.colours = colours
        self.scale = spectrum_scale(preset, size)

    def blank(self, count: int, rng: torch.Generator) -> Tensor:
        """Parameters before the first step, alike for all `count` pictures."""
        height, width = self.size
        shape: tuple[int, ...] = (1, 3, height, width)
        if self.preset.canvas == "fourier":
            shape = (1, 3, height, width // 2 + 1, 2)
        start = self.preset.contrast * torch.randn(shape, generator=rng)
        return start.repeat(count, *(1 for _ in shape[1:]))

    def paint(self, parameters: Tensor) -> Float[Tensor, "n 3 h w"]:
        """The pictures, in [0, 1]."""
        if self.preset.canvas == "pixel":
            value = self.preset.gain * parameters
        else:
            spectrum = torch.view_as_complex(parameters) * self.scale
            value = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        return torch.sigmoid(torch.einsum("ij,njhw->nihw", self.colours, value))


def colour_mix(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "3 3"]:
    """How are these pictures' colours mixed? Root of the covariance of their logits, scaled to 1.

    Noise mixed in this way has the data's own balance of light and colour.
    """
    logits = torch.logit(images.clamp(0.05, 0.95)).permute(1, 0, 2, 3).flatten(1)
    lengths, axes = torch.linalg.eigh(torch.cov(logits))
    root = axes @ lengths.clamp(min=0).sqrt().diag() @ axes.T
    return root / root.norm(dim=1).max().clamp(min=1e-6)


def spectrum_scale(preset: Preset, size: tuple[int, int]) -> Float[Tensor, "h f"]:
    """The factor on each frequency of a real Fourier transform of this size."""
    down, across = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    frequency = (down[:, None] ** 2 + across[None] ** 2).sqrt()
    low = 1 / max(size)
    return preset.gain * (low / frequency.clamp(min=low)) ** preset.decay


def moved(
    images: Float[Tensor, "n 3 h w"], preset: Preset, side: int, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """The pictures shifted, turned and zoomed at random, all of them alike.

    side: of what the unit sees, in pixels; a shift far beyond it would leave bare colour.
    """
    if not (preset.jitter or preset.turn or preset.zoom):
        return images
    height, width = images.shape[2:]
    across, down, turn, zoom = (2 * torch.rand(4, generator=rng) - 1).tolist()
    angle, factor, far = turn * preset.turn, 1 + zoom * preset.zoom, 2 * side * preset.jitter
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    matrix = torch.tensor(
        [
            [cos, -sin * height / width, across * far / width],
            [sin * width / height, cos, down * far / height],
        ]
    )
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def roughness(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Total variation: the mean absolute step between neighbouring pixels."""
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))


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
            before = held[name]
            return value + LEAK * (before - before.detach()) * (value == 0)

        return edit

    names = [name for name in specimen.sites if f"{name}.pre" in specimen.sites]
    return {f"{name}.pre": hold(name) for name in names} | {name: leak(name) for name in names}


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
        self.square.lerp_(slope.square(), 0.001)
        size = (self.square / (1 - 0.999**self.steps)).sqrt() + 1e-8
        self.parameters -= self.rate * self.mean / (1 - 0.9**self.steps) / size


def maximise(
    specimen: Specimen,
    objective: Objective,
    site: str | None,
    count: int,
    canvas: Canvas,
    steps: int,
    rng: torch.Generator,
    report: Report = silent,
) -> Painted:
    """Paint `count` pictures at once, each for its own unit, by Adam.

    All start alike and are moved alike, so that a picture does not depend on which others
    are painted with it. site: the one that the objective reads, if it is not the logits.
    Probes, for each picture: two for each step, two to see what the unit sees, one to score.
    """
    keep, preset = [site] if site else [], canvas.preset
    parameters = canvas.blank(count, rng).requires_grad_()
    seen = field(specimen, objective, keep, canvas.paint(parameters).detach())
    side = max(seen[2] - seen[0], seen[3] - seen[1])
    optimiser = Adam(parameters, preset.rate)
    for step in range(steps):
        with torch.enable_grad():
            images = canvas.paint(parameters)
            edit = awake(specimen) if step < WAKING else None
            reading = specimen.run(moved(images, preset, side, rng), keep, edit, grad=True)
            penalty = preset.smooth * step / steps * roughness(images)
            loss = (penalty - objective(reading)).sum()
            (slope,) = torch.autograd.grad(loss, parameters)
        optimiser.step(slope)
        report((step + 1) / steps)
    images = canvas.paint(parameters).detach()
    return Painted(images, objective(specimen.run(images, keep)), seen)


def field(
    specimen: Specimen, objective: Objective, keep: list[str], images: Float[Tensor, "n 3 h w"]
) -> tuple[int, int, int, int]:
    """Which box of the picture can the objective see? Left, top, right, bottom.

    The smallest that holds every pixel with a gradient; the whole where there is none.
    """
    reading = specimen.run(images, keep, awake(specimen), grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(objective(reading).sum(), reading.inputs)
    seen = slope.abs().amax((0, 1)) > 0
    height, width = seen.shape
    if not seen.any():
        return 0, 0, width, height
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
