"""Layers whose weights stay uninitialised until drawn from a generator, and that count no steps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5
"""What batch normalisation adds to a variance."""


class Conv(nn.Conv2d):
    """A convolution without initial weights: torch would draw them from its global generator."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class Linear(nn.Linear):
    """A linear layer without initial weights: torch would draw them from its global generator."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class BatchNorm(nn.Module):
    """Batch normalisation over `n c h w`, without a step counter.

    A step counter in the saved weights would reveal how long a model was trained; the running
    statistics use a fixed momentum of 0.1 instead. Otherwise as Ioffe and Szegedy 2015,
    arXiv:1502.03167.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum: float = 0.1
    counted: int = 0
    """In training: how many first rows of a batch give the statistics for all; 0: every row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.empty(channels))
        self.register_buffer("running_var", torch.empty(channels))

    def forward(self, value: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised value: by batch statistics in training, by running ones in evaluation."""
        if self.training and 0 < self.counted < len(value):
            return self._normalised_by_first(value)
        return F.batch_norm(
            value,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
        )

    def _normalised_by_first(self, value: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        variance, mean = torch.var_mean(value[: self.counted], (0, 2, 3), correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        scale = self.weight * torch.rsqrt(variance + EPSILON)
        return value * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]

    def initialise(self) -> None:
        """Start as the identity."""
        for tensor, value in (
            (self.weight, 1),
            (self.running_var, 1),
            (self.bias, 0),
            (self.running_mean, 0),
        ):
            nn.init.constant_(tensor, value)


def materialise(model: nn.Module) -> None:
    """Give a model that was made on the meta device empty weights on the CPU.

    `Module.to_empty` does the same, but imports a library of symbolic mathematics first.
    """
    for module in model.modules():
        for name, value in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(value.shape, dtype=value.dtype)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
