"""Weights between units of neighbouring layers, and from any unit to the classes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.specimen import Reading, Specimen
from auditgame.tools.vision.objectives import before_relu


def layers(specimen: Specimen) -> list[str]:
    """The sites with channels, in order, each after its ReLU where it has one."""
    return [
        name
        for name, site in specimen.sites.items()
        if site.kind == "channel" and not name.endswith(".pre")
    ]


def kernels(
    specimen: Specimen, source: str | None, target: str, inputs: Float[Tensor, "n c h w"]
) -> Float[Tensor, "units sources a b"]:
    """Effective kernels from the layer before (None: the image) to each unit of a layer.

    The gradient of the unit at the central position with respect to the source, which is held
    at its mean over these inputs; rows and columns of zeros are left out. Between two
    convolutions with only scaling and pooling between them these are the weights themselves.
    (After Voss et al. 2021, Visualizing Weights, Distill)
    """
    units = torch.arange(specimen.site(target).units)
    reading, leaf = _at_its_mean(specimen, source, before_relu(specimen, target), inputs, units)
    with torch.enable_grad():
        value = next(iter(reading.kept.values()))
        middle = value[units, units, value.shape[2] // 2, value.shape[3] // 2].sum()
        (slope,) = torch.autograd.grad(middle, leaf)
    passed = slope.abs().amax((0, 1)) > 0
    return slope[:, :, passed.any(1)][:, :, :, passed.any(0)]


def _at_its_mean(
    specimen: Specimen, source: str | None, read: str, inputs: Tensor, units: Tensor
) -> tuple[Reading, Tensor]:
    """One reading of `read` for each unit, and the source values it was computed from."""
    if source is None:
        level = inputs.mean((0, 2, 3))[None, :, None, None]
        flat = level.expand(len(units), *inputs.shape[1:]).contiguous()
        reading = specimen.run(flat, keep=[read], grad=True)
        return reading, reading.inputs
    level = specimen.collect(inputs, source).mean((0, 2, 3))[None, :, None, None]
    held: list[Tensor] = []

    def hold(value: Tensor) -> Tensor:
        held.append(level.expand_as(value).clone().requires_grad_())
        return held[0]

    same = inputs[:1].expand(len(units), *inputs.shape[1:])
    return specimen.run(same, keep=[read], edit={source: hold}, grad=True), held[0]


def class_weights(
    specimen: Specimen, inputs: Float[Tensor, "n c h w"], batch: int = 64
) -> dict[str, Float[Tensor, "units k"]]:
    """The change of each class logit per unit of activation at all positions, mean over inputs.

    For the last layer before a mean and a linear layer these are the weights themselves.
    """
    names, parts = layers(specimen), []
    for part in inputs.split(batch):
        reading = specimen.run(part, keep=names, grad=True)
        kept = [reading.kept[name] for name in names]
        with torch.enable_grad():
            logits = reading.classes.sum(0)
            slopes = [torch.autograd.grad(one, kept, retain_graph=True) for one in logits]
        parts.append(
            [torch.stack([s[i].sum((0, 2, 3)) for s in slopes], 1) for i in range(len(kept))]
        )
    return {
        name: torch.stack([part[i] for part in parts]).sum(0) / len(inputs)
        for i, name in enumerate(names)
    }
