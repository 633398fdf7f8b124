"""Pixel attribution: raw signed maps, and the baselines they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from auditgame.specimen import Specimen

PIXELS = 128 * 48 * 48
"""Pixels of interpolated or noisy copies in one backward pass, at most."""

Report = Callable[[float], None]


def silent(share: float) -> None:
    """A report that does nothing."""


def starts(length: int, window: int, stride: int) -> list[int]:
    """Offsets of a sliding window along a side; the last window is clipped at the border."""
    return [i * stride for i in range(max(0, -(-(length - window) // stride)) + 1)]


def occlusion(
    specimen: Specimen,
    image: Float[Tensor, "c h w"],
    label: int,
    fill: Float[Tensor, "c h w"],
    window: int,
    stride: int,
    report: Report = silent,
) -> Float[Tensor, "h w"]:
    """Occlusion map: the fall of the class logit when a square window is covered with `fill`.

    Each pixel has the mean fall over the windows that cover it; negative where covering
    raises the logit. Queries: one for each window, and one.
    (Zeiler and Fergus 2013, arXiv:1311.2901)
    """
    height, width = image.shape[1:]
    tops, lefts = starts(height, window, stride), starts(width, window, stride)
    whole = specimen.classify(image[None])[0, label]
    total, times = image.new_zeros(height, width), image.new_zeros(height, width)
    for done, top in enumerate(tops):
        masks = image.new_zeros(len(lefts), 1, height, width)
        for row, left in enumerate(lefts):
            masks[row, 0, top : top + window, left : left + window] = 1
        falls = whole - specimen.classify(image * (1 - masks) + fill * masks)[:, label]
        total += (falls[:, None, None] * masks[:, 0]).sum(0)
        times += masks[:, 0].sum(0)
        report((done + 1) / len(tops))
    return total / times.clamp(min=1)


def occlusion_queries(size: tuple[int, ...], window: int, stride: int) -> int:
    """The number of queries of one occlusion map."""
    height, width = size
    return len(starts(height, window, stride)) * len(starts(width, window, stride)) + 1


class Slopes(NamedTuple):
    """The value at a site, and the gradient of each image's class logit there."""

    value: Float[Tensor, "n u a b"]
    slope: Float[Tensor, "n u a b"]


def slopes(
    specimen: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], site: str = ""
) -> Slopes:
    """Gradient of each image's class logit at a site, or at its pixels.

    Queries: two for each image.
    """
    reading = specimen.run(images, grad=site or True)
    logits = reading.classes.gather(1, labels[:, None]).sum()
    (slope,) = torch.autograd.grad(logits, reading.inputs)
    return Slopes(reading.inputs.detach(), slope)


def gradcam(
    specimen: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], site: str
) -> Float[Tensor, "n a b"]:
    """GradCAM maps at the layer's size. Signed: no ReLU, no scaling.

    Channels are weighted by the mean gradient of the class logit. Queries: two for each image.
    (Selvaraju et al. 2016, arXiv:1610.02391)
    """
    value, slope = slopes(specimen, images, labels, site)
    return (slope.mean((2, 3), keepdim=True) * value).sum(1)


def integrated_gradients(
    specimen: Specimen,
    images: Float[Tensor, "n c h w"],
    labels: Int[Tensor, " n"],
    baselines: Float[Tensor, "n c h w"],
    steps: int,
) -> Float[Tensor, "n c h w"]:
    """Integrated gradients of the class logit from a baseline to each image.

    The integral of the gradient along the straight path, by Gauss-Legendre quadrature,
    times the difference. Each map sums to the image's logit minus the baseline's, up to
    the quadrature error. Queries: two for each image and step.
    (Sundararajan, Taly and Yan 2017, arXiv:1703.01365)
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    along = torch.from_numpy((1 + nodes) / 2).to(images)[:, None, None, None]
    shares, size = torch.from_numpy(weights / 2).to(images), max(1, _rows(images) // steps)
    maps = []
    for part, start, label in zip(
        images.split(size), baselines.split(size), labels.split(size), strict=True
    ):
        difference = part - start
        path = start[:, None] + along * difference[:, None]
        maps.append(_mean_slope(specimen, path, label, shares) * difference)
    return torch.cat(maps)


def smoothgrad(
    specimen: Specimen,
    images: Float[Tensor, "n c h w"],
    labels: Int[Tensor, " n"],
    noise: Float[Tensor, "n s c h w"],
) -> Float[Tensor, "n c h w"]:
    """SmoothGrad: the gradient of the class logit, averaged over s noisy copies.

    Queries: two for each image and copy. (Smilkov et al. 2017, arXiv:1706.03825)
    """
    copies = noise.shape[1]
    shares, size = images.new_full((copies,), 1 / copies), max(1, _rows(images) // copies)
    return torch.cat(
        [
            _mean_slope(specimen, part[:, None] + grain, label, shares)
            for part, grain, label in zip(
                images.split(size), noise.split(size), labels.split(size), strict=True
            )
        ]
    )


def _mean_slope(
    specimen: Specimen,
    copies: Float[Tensor, "n s c h w"],
    labels: Int[Tensor, " n"],
    shares: Float[Tensor, " s"],
) -> Float[Tensor, "n c h w"]:
    """The weighted sum of the pixel gradients at s copies of each image."""
    images, classes = copies.flatten(0, 1), labels.repeat_interleave(len(shares))
    rows = _rows(images)
    parts = zip(images.split(rows), classes.split(rows), strict=True)
    found = torch.cat([slopes(specimen, part, label).slope for part, label in parts])
    return torch.einsum("nschw,s->nchw", found.unflatten(0, copies.shape[:2]), shares)


def _rows(images: Float[Tensor, "n c h w"]) -> int:
    return max(1, PIXELS // (images.shape[2] * images.shape[3]))


def agreement(one: Float[Tensor, "h w"], other: Float[Tensor, "h w"]) -> float | None:
    """Spearman correlation of two maps' absolute values; None where one is constant."""
    a, b = (torch.from_numpy(rankdata(m.abs().flatten().numpy())) for m in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size else None


def edges(image: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """Sobel gradient magnitude of the brightness at each pixel."""
    grey = F.pad(image.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack([across, across.T])[:, None]
    return F.conv2d(grey, kernels)[0].square().sum(0).sqrt()


def blurred(image: Float[Tensor, "c h w"], spread: float) -> Float[Tensor, "c h w"]:
    """The image blurred by a Gaussian of this standard deviation in pixels."""
    reach = max(1, round(3 * spread))
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * spread**2))
    weights = (weights / weights.sum())[None, None, None]
    value = image[:, None]
    value = F.conv2d(F.pad(value, (reach, reach, 0, 0), mode="replicate"), weights)
    turned = weights.transpose(2, 3)
    return F.conv2d(F.pad(value, (0, 0, reach, reach), mode="replicate"), turned)[:, 0]
