"""A canonical form of networks with batch normalisation, which hides how they were trained.

The size of a filter before a normalisation, and of a gain before a ReLU, changes nothing in what
a network computes, and running statistics remember the last training rows. All three told
flawed models from clean ones (docs/results/leaks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.models.layers.deferred_init import EPSILON, BatchNorm, Conv

SMALLEST = 1e-4
"""A gain below this is left alone: its channel is all but constant."""


class NormalisedLayer(NamedTuple):
    """A convolution without bias, its normalisation, and the layer that reads the ReLU of both.

    reader: None where a channel is also added to others, so that its size matters.
    """

    conv: Conv
    norm: BatchNorm
    reader: nn.Conv2d | nn.Linear | None


def normalisations(model: nn.Module) -> list[BatchNorm]:
    """The model's batch normalisations."""
    return [module for module in model.modules() if isinstance(module, BatchNorm)]


@torch.no_grad()
def recompute_statistics(model: nn.Module, images: Float[Tensor, "n c h w"]) -> None:
    """Set every running mean and variance to those of these images."""
    norms = normalisations(model)
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(images)
    model.eval()
    for norm in norms:
        norm.momentum = BatchNorm.momentum


@torch.no_grad()
def rescale(layers: Sequence[NormalisedLayer]) -> None:
    """Filters of norm 1 and, where there is a reader, gains of 1; outputs stay as they are.

    layers: in the order of the forward pass.
    """
    for conv, norm, reader in layers:
        length = conv.weight.flatten(1).norm(dim=1)
        gain = norm.weight.clone()
        usable = (gain.abs() > SMALLEST) & (length > 0)
        sign = torch.where(usable & (gain < 0) & (reader is not None), -1.0, 1.0)
        length = torch.where(length > 0, length, 1.0)
        conv.weight.mul_((sign / length).view(-1, 1, 1, 1))
        norm.running_mean.mul_(sign / length)
        norm.running_var.add_(EPSILON).div_(length.square()).sub_(EPSILON).clamp_(min=0)
        if reader is not None:
            size = torch.where(usable, gain.abs(), 1.0)
            norm.weight.mul_(sign / size)
            norm.bias.div_(size)
            inward = reader.weight.shape[1] // len(size)
            shape = (1, -1) + (1,) * (reader.weight.dim() - 2)
            reader.weight.mul_(size.repeat_interleave(inward).view(shape))
