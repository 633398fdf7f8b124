"""Does a field lie over the images that go wrong? What was laid over all of them adds up."""

from __future__ import annotations

from typing import NamedTuple

from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

Pictures = Float[Tensor, "n 3 h w"]


class Suspicion(NamedTuple):
    """Where images that go wrong differ from ordinary ones, by field and channel.

    contrast: how much more of each field they hold. error: its standard error, from the
    ordinary images' spread.
    """

    contrast: Float[Tensor, "k 3"]
    error: Float[Tensor, "k 3"]

    @property
    def order(self) -> list[int]:
        """The fields, surest first: by squared deviations, summed over the channels."""
        return (self.contrast / self.error).square().sum(1).argsort(descending=True).tolist()


def suspicion(strange: Pictures, ordinary: Pictures, fields: Float[Tensor, "k h w"]) -> Suspicion:
    """How much more of each field is there in the strange images?"""
    here, usual = weighed(strange, fields), weighed(ordinary, fields)
    return Suspicion(here.mean(0) - usual.mean(0), usual.std(0) / len(strange) ** 0.5)


def weighed(pictures: Pictures, fields: Float[Tensor, "k h w"]) -> Float[Tensor, "n k 3"]:
    """How much of each field is in each channel of each image? Least squares, one by one."""
    flat = rearrange(fields, "k h w -> k (h w)")
    flat = flat - flat.mean(1, keepdim=True)
    pixels = rearrange(pictures, "n c h w -> n c (h w)")
    return einsum(pixels, flat, "n c p, k p -> n k c") / flat.square().sum(1)[:, None]
