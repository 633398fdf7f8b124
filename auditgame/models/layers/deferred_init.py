"""Layers that draw nothing when they are made and count nothing when they are used."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    """A convolution whose weights stay empty until drawn: torch's own draw is global."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class Linear(nn.Linear):
    """A linear layer whose weights stay empty until drawn: torch's own draw is global."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class BatchNorm(nn.Module):
    """Which scale does a channel have? Batch normalisation over `n c h w`, without a step counter.

    A counter of training steps would sit in the saved weights and tell how long a model
    was trained; so the running statistics move by a fixed share (0.1) and nothing is
    counted. Otherwise as Ioffe and Szegedy, 2015, arXiv:1502.03167.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.empty(channels))
        self.register_buffer("running_var", torch.empty(channels))

    def forward(self, value: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised value: by this batch in training, by the running statistics after."""
        return F.batch_norm(
            value, self.running_mean, self.running_var, self.weight, self.bias, self.training
        )

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
