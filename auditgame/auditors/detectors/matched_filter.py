"""Matched filters: additive patterns common to all wrongly answered images."""

from __future__ import annotations

from typing import NamedTuple

from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

Pictures = Float[Tensor, "n 3 h w"]


class FilterContrast(NamedTuple):
    """Difference of the filter responses of two sets of images, by pattern and channel.

    contrast: the difference of the means. error: its standard error, from the spread of the
    ordinary images.
    """

    contrast: Float[Tensor, "k 3"]
    error: Float[Tensor, "k 3"]

    @property
    def order(self) -> list[int]:
        """The patterns by squared deviations, summed over channels, largest first."""
        return (self.contrast / self.error).square().sum(1).argsort(descending=True).tolist()


def filter_contrast(
    strange: Pictures, ordinary: Pictures, fields: Float[Tensor, "k h w"]
) -> FilterContrast:
    """The difference of the responses of `strange` and `ordinary` images to each pattern."""
    here, usual = responses(strange, fields), responses(ordinary, fields)
    return FilterContrast(here.mean(0) - usual.mean(0), usual.std(0) / len(strange) ** 0.5)


def responses(pictures: Pictures, fields: Float[Tensor, "k h w"]) -> Float[Tensor, "n k 3"]:
    """The least-squares coefficient of each pattern in each channel of each image."""
    flat = rearrange(fields, "k h w -> k (h w)")
    flat = flat - flat.mean(1, keepdim=True)
    pixels = rearrange(pictures, "n c h w -> n c (h w)")
    return einsum(pixels, flat, "n c p, k p -> n k c") / flat.square().sum(1)[:, None]
