"""Which parts of a picture carried the answer? Raw signed maps, and what they must beat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from auditgame.specimen import Specimen

Report = Callable[[float], None]


def silent(share: float) -> None:
    """The report that goes nowhere."""


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where does a sliding window stand along a side? The last one is clipped at the border."""
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
    """How far does the class logit fall where a square window is covered with `fill`?

    Each pixel has the mean fall over the windows that cover it; negative where covering
    helps. Probes: one for each window, and one. (Zeiler and Fergus 2013, arXiv:1311.2901)
    """
    height, width = image.shape[1:]
    tops, lefts = starts(height, window, stride), starts(width, window, stride)
    whole = specimen.classify(image[None])[0, label]
    total, times = torch.zeros(height, width), torch.zeros(height, width)
    for done, top in enumerate(tops):
        masks = torch.zeros(len(lefts), 1, height, width)
        for row, left in enumerate(lefts):
            masks[row, 0, top : top + window, left : left + window] = 1
        falls = whole - specimen.classify(image * (1 - masks) + fill * masks)[:, label]
        total += (falls[:, None, None] * masks[:, 0]).sum(0)
        times += masks[:, 0].sum(0)
        report((done + 1) / len(tops))
    return total / times.clamp(min=1)


def occlusion_probes(size: tuple[int, ...], window: int, stride: int) -> int:
    """How many probes does one occlusion map take?"""
    height, width = size
    return len(starts(height, window, stride)) * len(starts(width, window, stride)) + 1


def gradcam(
    specimen: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], site: str
) -> Float[Tensor, "n a b"]:
    """Which places of a layer speak for the class? Signed: no ReLU, no scaling.

    Each channel counts by the mean gradient of the class logit; maps have the layer's
    size. Probes: two for each picture. (Selvaraju et al. 2016, arXiv:1610.02391)
    """
    reading = specimen.run(images, keep=[site], grad=True)
    value = reading.kept[site]
    logits = reading.classes.gather(1, labels[:, None]).sum()
    (slope,) = torch.autograd.grad(logits, value)
    return (slope.mean((2, 3), keepdim=True) * value).sum(1).detach()


def agreement(one: Float[Tensor, "h w"], other: Float[Tensor, "h w"]) -> float | None:
    """Spearman correlation of two maps' absolute values; None where one is constant."""
    a, b = (torch.from_numpy(rankdata(m.abs().flatten().numpy())) for m in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size else None


def edges(image: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """How steep is the brightness at each pixel? Sobel's gradient magnitude."""
    grey = F.pad(image.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack([across, across.T])[:, None]
    return F.conv2d(grey, kernels)[0].square().sum(0).sqrt()


def blurred(image: Float[Tensor, "c h w"], spread: float) -> Float[Tensor, "c h w"]:
    """The picture under a Gaussian blur of this standard deviation in pixels."""
    reach = max(1, round(3 * spread))
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * spread**2))
    weights = (weights / weights.sum())[None, None, None]
    value = image[:, None]
    value = F.conv2d(F.pad(value, (reach, reach, 0, 0), mode="replicate"), weights)
    turned = weights.transpose(2, 3)
    return F.conv2d(F.pad(value, (0, 0, reach, reach), mode="replicate"), turned)[:, 0]


def stages(specimen: Specimen) -> int:
    """How many weight tensors can be redrawn, from the output down?"""
    return sum(value.dim() > 1 for value in specimen.weights().values())
