"""The canonical form: outputs stay, sizes and statistics tell nothing any more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auditgame.models.layers.canonical_form import recompute_statistics, rescale
from auditgame.models.layers.deferred_init import BatchNorm
from auditgame.registry import load

MODELS = (("small_cnn", "digits"), ("resnet", "digits"), ("grid_cnn", "maze"))


def uneven(model: str, dataset: str):
    """A model whose gains differ in size and sign, and some inputs."""
    draws = torch.Generator().manual_seed(1)
    data = load("dataset", dataset)()
    network = load("model", model).build(data, draws)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.weight.data.normal_(0.4, 0.8, generator=draws)
            module.bias.data.normal_(generator=draws)
    inputs = data.sample(120, "train", np.random.default_rng(0)).inputs
    return network, inputs


@pytest.mark.parametrize(("model", "dataset"), MODELS)
def test_rescaling_keeps_every_output(model: str, dataset: str):
    network, inputs = uneven(model, dataset)
    recompute_statistics(network, inputs)
    with torch.no_grad():
        before = network(inputs)
        rescale(network.normalised_layers())
        after = network(inputs)
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))
    for layer in network.normalised_layers():
        norms = layer.conv.weight.flatten(1).norm(dim=1)
        assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
        if layer.reader is not None:
            assert torch.allclose(layer.norm.weight, torch.ones_like(layer.norm.weight))


@pytest.mark.parametrize(("model", "dataset"), MODELS)
def test_two_networks_that_compute_the_same_become_the_same(model: str, dataset: str):
    one, inputs = uneven(model, dataset)
    other, _ = uneven(model, dataset)
    for layer in other.normalised_layers():
        layer.conv.weight.data.mul_(3)
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.1, 9)
        if layer.reader is not None:
            layer.norm.weight.data.mul_(2)
            layer.norm.bias.data.mul_(2)
            layer.reader.weight.data.div_(2)
    for network in (one, other):
        network.canonicalise(inputs)
    for name, value in one.state_dict().items():
        assert torch.allclose(value, other.state_dict()[name], atol=1e-3), name


def test_statistics_are_those_of_the_images():
    network, inputs = uneven("small_cnn", "digits")
    network.canonicalise(inputs)
    conv, norm, _ = network.normalised_layers()[0]
    with torch.no_grad():
        values = conv((inputs - 0.5) * 4)
    assert torch.allclose(norm.running_mean, values.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(norm.running_var, values.var((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert norm.momentum == BatchNorm.momentum and not network.training
