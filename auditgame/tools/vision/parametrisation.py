"""Image parametrisations: pixels, or Fourier coefficients in the data's colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Preset:
    """Settings of an optimisation.

    canvas: 'fourier' or 'pixel' parameters. contrast: standard deviation of the initial
    parameters. decay: exponent by which high frequencies are damped. gain: factor before the
    sigmoid. jitter (share of the receptive field), turn (radians), zoom (share): largest
    random shift, rotation and zoom at each step. smooth, sharp, known: weights of the penalties
    for total variation, for high frequencies, and for patches unlike the data's; they grow from
    zero over the steps, since with a penalty at the start some images stay grey.
    rate: Adam's learning rate.
    coloured: decorrelate colours by the data's statistics.
    """

    canvas: Literal["fourier", "pixel"]
    contrast: float
    decay: float = 0.0
    gain: float = 1.0
    jitter: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0
    smooth: float = 0.0
    sharp: float = 0.0
    known: float = 0.0
    rate: float = 0.05
    coloured: bool = False


_RAW = Preset(canvas="pixel", contrast=0.1)
_WAVES = Preset(canvas="fourier", contrast=0.15, decay=1.2, gain=25.0, coloured=True)


def _moved(preset: Preset) -> Preset:
    return replace(preset, jitter=0.125, turn=0.2, zoom=0.15)


PRESETS: Mapping[str, Preset] = {
    "natural": replace(_moved(_WAVES), smooth=30.0),
    "raw": _RAW,
    "frequency": replace(_RAW, sharp=20000.0),
    "smooth": replace(_RAW, smooth=150.0),
    "moved": _moved(_RAW),
    "fourier": _WAVES,
    "learned": replace(_moved(_WAVES), known=500.0),
}
"""natural: all priors that were measured to help; raw: none; then one prior at a time; learned:
natural with a learned prior in place of total variation."""


class ImageParameters:
    """A map from parameters to images. `colours` mixes the channels of each pixel.

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

    def blank(self, count: int, rng: torch.Generator, each: int = 1) -> Tensor:
        """Initial parameters: `each` samples, the same for all `count` objectives."""
        height, width = self.size
        shape: tuple[int, ...] = (each, 3, height, width)
        if self.preset.canvas == "fourier":
            shape = (each, 3, height, width // 2 + 1, 2)
        start = self.preset.contrast * torch.randn(shape, generator=rng)
        return start.repeat(count, *(1 for _ in shape[1:]))

    def paint(self, parameters: Tensor) -> Float[Tensor, "n 3 h w"]:
        """The images, in [0, 1]."""
        if self.preset.canvas == "pixel":
            value = self.preset.gain * parameters
        else:
            spectrum = torch.view_as_complex(parameters * self.scale[..., None])
            value = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        return torch.sigmoid((self.colours @ value.flatten(2)).view_as(value))


def colour_mix(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "3 3"]:
    """The square root of the covariance of the images' pixel logits, scaled to norm 1.

    Noise mixed by it has the colour statistics of the data.
    """
    logits = torch.logit(images.clamp(0.05, 0.95)).permute(1, 0, 2, 3).flatten(1)
    lengths, axes = torch.linalg.eigh(torch.cov(logits))
    root = axes @ lengths.clamp(min=0).sqrt().diag() @ axes.T
    return root / root.norm(dim=1).max().clamp(min=1e-6)


def frequencies(size: tuple[int, int]) -> Float[Tensor, "h f"]:
    """Cycles per pixel of each term of a real Fourier transform of this size."""
    down, across = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    return (down[:, None] ** 2 + across[None] ** 2).sqrt()


def spectrum_scale(preset: Preset, size: tuple[int, int]) -> Float[Tensor, "h f"]:
    """The factor on each frequency of a real Fourier transform of this size."""
    low = 1 / max(size)
    return preset.gain * (low / frequencies(size).clamp(min=low)) ** preset.decay
