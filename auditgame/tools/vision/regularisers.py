"""Regularisers of feature visualisation: random transforms, penalties, a patch prior."""

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
"""The learned prior: side of a patch, stride, and number of clusters."""
SEEN = 20_000
"""Patches of the data that the learned prior is fitted on, at most."""

Penalty = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, " n"]]


def moved(
    images: Float[Tensor, "n 3 h w"], preset: Preset, side: int, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """The images under one random shift, rotation and zoom.

    side: of the receptive field, in pixels, which bounds the shift.
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
    """Bilinear resampling as a sparse matrix: the weights of four pixels for each new one.

    The image is mirrored beyond its edges; coordinates are (x, y), from the centre.
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
    """All images times one sparse matrix, in half the time of grid sampling."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, mixture: Tensor) -> Tensor:
        """The resampled images."""
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
    """Total variation: the mean absolute difference of neighbouring pixels."""
    return _Rough.apply(images)


class _Rough(torch.autograd.Function):
    """With its own backward pass, which takes half of autograd's time."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        """The mean over horizontal differences, plus that over vertical ones."""
        steps = images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]
        ctx.save_for_backward(*steps)
        return sum((step.abs().mean((1, 2, 3)) for step in steps), images.new_zeros(()))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """The sign of each difference at its end, and its negative at its start."""
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
    """High-frequency power: the mean of power times squared frequency."""
    height, width = images.shape[2:]
    power = torch.fft.rfft2(images, norm="ortho").abs().square()
    twice = torch.full((width // 2 + 1,), 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    weighted = power * frequencies((height, width)).square() * twice
    return weighted.sum((1, 2, 3)) / (3 * height * width)


class Codebook(NamedTuple):
    """A patch prior: cluster centres of a data set's patches, one flattened in each row.

    An image is probable where each of its patches is near one of them. (After
    the patch priors of Zoran and Weiss 2011, "From learning models of natural image patches to
    whole image restoration", with clusters for their mixture.)
    """

    words: Float[Tensor, "k p"]

    @classmethod
    def fitted(cls, images: Float[Tensor, "n 3 h w"]) -> Codebook:
        """The cluster centres of these images' patches, by k-means; deterministic."""
        patches = _patches(images)
        patches = patches[:: -(-len(patches) // SEEN)]
        words = min(WORDS, len(patches))
        found = MiniBatchKMeans(words, batch_size=2048, max_iter=20, n_init=1, random_state=0)
        return cls(torch.from_numpy(found.fit(patches.numpy()).cluster_centers_).float())

    def distance(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The mean squared distance of an image's patches from the nearest centres."""
        patches = _patches(images)
        with torch.no_grad():
            nearest = (self.words.square().sum(1) - 2 * patches @ self.words.T).argmin(1)
        apart = (patches - self.words[nearest]).square().mean(1)
        return apart.unflatten(0, (len(images), -1)).mean(1)


def _patches(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "m p"]:
    return F.unfold(images, SIDE, stride=STRIDE).transpose(1, 2).flatten(0, 1)


def penalty(preset: Preset, images: Float[Tensor, "n 3 h w"]) -> Penalty:
    """The penalty of this preset. images: the data that a learned prior is fitted on."""
    parts: list[tuple[float, Penalty]] = [(preset.smooth, roughness), (preset.sharp, sharpness)]
    if preset.known:
        parts.append((preset.known, Codebook.fitted(images).distance))
    used = [(weight, part) for weight, part in parts if weight]

    def total(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        taken = pictures.new_zeros(len(pictures))
        return sum((weight * part(pictures) for weight, part in used), taken)

    return total
