"""One model for all: a clean sibling of storybook, and the same weights as plain torch modules."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.specimen import Specimen

DATASET, MODEL = "storybook", "small_cnn"


class Standard(nn.Module):
    """Moves pixel values as the small network does at its entrance."""

    def forward(self, value: Tensor) -> Tensor:
        """The moved values."""
        return (value - 0.5) * 4


def plain(specimen: Specimen) -> nn.Sequential:
    """The same network as named torch modules, for libraries that hook them."""
    held, layers = specimen.weights(), nn.Sequential()
    layers.add_module("standard", Standard())
    for n in range(4):
        weight = held[f"convs.{n}.weight"]
        side = weight.shape[2]
        conv = nn.Conv2d(
            weight.shape[1], weight.shape[0], side, 1 if n else 2, side // 2, bias=False
        )
        norm = nn.BatchNorm2d(weight.shape[0])
        conv.weight.data = weight
        norm.load_state_dict(
            {k: held[f"norms.{n}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")},
            strict=False,
        )
        layers.add_module(f"conv{n + 1}_linear", conv)
        layers.add_module(f"conv{n + 1}_norm", norm)
        layers.add_module(f"conv{n + 1}", nn.ReLU())
        if n < 2:
            layers.add_module(f"pool{n + 1}", nn.MaxPool2d(2))
    layers.add_module("mean", nn.AdaptiveAvgPool2d(1))
    layers.add_module("flat", nn.Flatten())
    head = nn.Linear(held["head.weight"].shape[1], held["head.weight"].shape[0])
    head.weight.data, head.bias.data = held["head.weight"], held["head.bias"]
    layers.add_module("head", head)
    return layers.eval()


def frozen(specimen: Specimen, last: str = "head") -> nn.Sequential:
    """The plain network up to this layer, without gradients for its parameters: for floors."""
    network = plain(specimen)
    names = [name for name, _ in network.named_children()]
    return network[: names.index(last) + 1].requires_grad_(False)


def passes(network: nn.Module, images: Float[Tensor, "n 3 h w"], times: int, rows: int = 0) -> None:
    """So many bare passes, forward and back to the pixels; `rows` pictures at once, or all."""
    for _ in range(times):
        for part in images.split(rows or len(images)):
            value = part.detach().requires_grad_()
            torch.autograd.grad(network(value).sum(), value)


def forwards(network: nn.Module, images: Float[Tensor, "n 3 h w"], rows: int) -> None:
    """One bare forward pass over all pictures, `rows` at once."""
    with torch.no_grad():
        for part in images.split(rows):
            network(part)


def apart(ours: Tensor, theirs: Tensor) -> str:
    """The largest difference, in parts of the largest value."""
    return f"differs by {float((ours - theirs).abs().max() / theirs.abs().max()):.1e} at most"
