"""What keeps a painted picture legible? Moving it about, and penalties for what looks wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor
from torch.nn import functional as F

from auditgame.canvas import Preset, frequencies

SIDE, STRIDE, WORDS = 8, 2, 512
"""Of the patches of the learned prior: their side, their spacing, how many are kept."""
SEEN = 20_000
"""Patches of the data that the learned prior is fitted on, at most."""

Penalty = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, " n"]]


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


def sharpness(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Power at high frequencies: the mean over waves of power times squared frequency."""
    height, width = images.shape[2:]
    power = torch.fft.rfft2(images, norm="ortho").abs().square()
    twice = torch.full((width // 2 + 1,), 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    weighted = power * frequencies((height, width)).square() * twice
    return weighted.sum((1, 2, 3)) / (3 * height * width)


class Codebook(NamedTuple):
    """Which small patches does a data set consist of? Each row of `words` is one, flattened.

    A learned prior: a picture is likely where each of its patches is near one of them. (After
    the patch priors of Zoran and Weiss 2011, "From learning models of natural image patches to
    whole image restoration", with clusters for their mixture.)
    """

    words: Float[Tensor, "k p"]

    @classmethod
    def fitted(cls, images: Float[Tensor, "n 3 h w"]) -> Codebook:
        """The centres of the patches of these pictures, by k-means; the same every time."""
        patches = _patches(images)
        patches = patches[:: -(-len(patches) // SEEN)]
        words = min(WORDS, len(patches))
        found = MiniBatchKMeans(words, batch_size=2048, max_iter=20, n_init=1, random_state=0)
        return cls(torch.from_numpy(found.fit(patches.numpy()).cluster_centers_).float())

    def strangeness(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The mean squared distance of a pixel from the same pixel of the nearest word."""
        patches = _patches(images)
        with torch.no_grad():
            nearest = (self.words.square().sum(1) - 2 * patches @ self.words.T).argmin(1)
        apart = (patches - self.words[nearest]).square().mean(1)
        return apart.unflatten(0, (len(images), -1)).mean(1)


def _patches(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "m p"]:
    return F.unfold(images, SIDE, stride=STRIDE).transpose(1, 2).flatten(0, 1)


def penalty(preset: Preset, images: Float[Tensor, "n 3 h w"]) -> Penalty:
    """What this preset takes off a picture's score. images: what a learned prior learns from."""
    parts: list[tuple[float, Penalty]] = [(preset.smooth, roughness), (preset.sharp, sharpness)]
    if preset.known:
        parts.append((preset.known, Codebook.fitted(images).strangeness))
    used = [(weight, part) for weight, part in parts if weight]

    def total(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        taken = pictures.new_zeros(len(pictures))
        return sum((weight * part(pictures) for weight, part in used), taken)

    return total
