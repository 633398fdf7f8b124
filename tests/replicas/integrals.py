"""Integrated gradients and SmoothGrad as their papers write them: one picture and step at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def gradient(model: nn.Module, image: Tensor, label: int) -> Tensor:
    """The gradient of one class score at one picture."""
    leaf = image.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf[None])[0, label], leaf)
    return slope


def integrated_gradients(
    model: nn.Module, image: Tensor, label: int, baseline: Tensor, steps: int
) -> Tensor:
    """Equation 1 of Sundararajan et al. 2017, the integral by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    integral = torch.zeros_like(image)
    for node, weight in zip(nodes, weights, strict=True):
        alpha = (node + 1) / 2
        integral += weight / 2 * gradient(model, baseline + alpha * (image - baseline), label)
    return (image - baseline) * integral


def smoothgrad(model: nn.Module, image: Tensor, label: int, noise: Tensor) -> Tensor:
    """Section 3.2 of Smilkov et al. 2017: the mean of the gradients at noisy copies."""
    return sum(gradient(model, image + grain, label) for grain in noise) / len(noise)
