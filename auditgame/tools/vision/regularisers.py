"""What keeps a painted picture legible? Moving it about, and penalties for what looks wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor
from torch.nn import functional as F

from auditgame.tools.vision.parametrisation import Preset, frequencies

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
    across, down, turn, zoom = (2 * torch.rand(4, generator=rng) - 1).tolist()
    angle, factor, far = turn * preset.turn, 1 + zoom * preset.zoom, side * preset.jitter
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    matrix = torch.tensor([[cos, -sin], [sin, cos]])
    shift = torch.tensor([across * far, down * far])
    return _Mixed.apply(images, _mixture(matrix, shift, (images.shape[2], images.shape[3])))


def _mixture(
    matrix: Float[Tensor, "2 2"], shift: Float[Tensor, " 2"], size: tuple[int, int]
) -> Tensor:
    """A sparse matrix: which four pixels are mixed, bilinearly, into each pixel of the moved one.

    The picture is mirrored beyond its edges; the axis of places is (x, y), from the middle.
    """
    sides, step = torch.tensor(size[::-1]), torch.tensor([1, size[1]])
    places = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).flip(1) + 0.5
    at = ((places - sides / 2) @ matrix.T + shift + sides / 2).abs() % (2 * sides)
    at = torch.minimum(at, 2 * sides - at) - 0.5
    low = at.floor()
    near = torch.stack([low, low + 1])
    share, near = 1 - (at - near).abs(), near.long().clamp(min=0).minimum(sides - 1) * step
    columns = near[:, None, :, 0] + near[None, :, :, 1]
    shares = share[:, None, :, 0] * share[None, :, :, 1]
    rows = torch.arange(len(places)).expand(4, -1)
    index = torch.stack([rows.flatten(), columns.flatten()])
    square = (len(places), len(places))
    return torch.sparse_coo_tensor(index, shares.flatten(), square, check_invariants=False)


class _Mixed(torch.autograd.Function):
    """All pictures times one sparse matrix: half the time of sampling each on a grid."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, mixture: Tensor) -> Tensor:
        """The mixed pictures."""
        ctx.mixture = mixture
        return _times(mixture, images)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Each pixel's slope, from all that it was mixed into."""
        return _times(ctx.mixture.t(), slope), None


def _times(mixture: Tensor, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    pixels = rearrange(images, "n c h w -> (h w) (n c)").contiguous()
    return torch.sparse.mm(mixture, pixels).T.contiguous().view(images.shape)


def roughness(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Total variation: the mean absolute step between neighbouring pixels."""
    return _Rough.apply(images)


class _Rough(torch.autograd.Function):
    """Written out, since torch's own way back takes twice as long."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        """The mean over steps across, plus that over steps down."""
        steps = images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]
        ctx.save_for_backward(*steps)
        return sum((step.abs().mean((1, 2, 3)) for step in steps), images.new_zeros(()))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """The sign of each step, at its end and against it at its start."""
        across, down = (
            step.sign().mul_((slope / step[0].numel())[:, None, None, None])
            for step in ctx.saved_tensors
        )
        found = F.pad(across, (1, 0))
        found[..., :-1] -= across
        found[..., 1:, :] += down
        found[..., :-1, :] -= down
        return found


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
