"""Affine maps from each layer's stream to the last one's, for the tuned lens."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.tools.transformer.layerwise import ROWS, kl

RIDGE = 1e-2
"""Penalty of the ridge regression, as a share of the stream's mean variance."""
RATE = 1e-3
STEP_CELLS = 4_000_000
"""Rows times vocabulary of one step; between 32 and 256 rows are used."""


class TunedTranslators(NamedTuple):
    """One affine map for each layer but the last: `x + x change + shift`."""

    change: Float[Tensor, "layer d d"]
    shift: Float[Tensor, "layer d"]

    def translate(self, streams: Float[Tensor, "layers n d"]) -> Float[Tensor, "layers n d"]:
        """The streams translated to the last layer; the last one as it is."""
        early = streams[:-1]
        return torch.cat([early + early @ self.change + self.shift[:, None], streams[-1:]])


def ridge(streams: Float[Tensor, "layers n d"]) -> TunedTranslators:
    """The ridge regression from each layer's stream to the last one's.

    Minimises |x + x A + b - last|^2 + n RIDGE var |A|^2, layer by layer. (Hoerl and Kennard
    1970; as a lens: Din et al. 2023, arXiv:2303.09435)
    """
    change, shift = [], []
    for early in streams[:-1]:
        means = early.mean(0), (streams[-1] - early).mean(0)
        x, y = early - means[0], (streams[-1] - early) - means[1]
        square = x.T @ x
        pull = RIDGE * square.diagonal().mean() * torch.eye(len(square))
        change.append(torch.linalg.solve(square + pull, x.T @ y))
        shift.append(means[1] - means[0] @ change[-1])
    return TunedTranslators(torch.stack(change), torch.stack(shift))


def tune(
    start: TunedTranslators,
    weights: TransformerWeights,
    streams: Float[Tensor, "layers n d"],
    steps: int,
    rng: torch.Generator,
    report: Callable[[float], None] = lambda _: None,
) -> TunedTranslators:
    """The maps after training on the KL divergence from the model's own output.

    Adam on all layers, new random rows at each step. (Belrose et al. 2023,
    arXiv:2303.08112, section 3; they start from the identity)
    """
    if not steps:
        return start
    rows = min(256, max(32, STEP_CELLS // len(weights.unembedding)))
    leaves = [part.clone().requires_grad_() for part in start]
    adam = torch.optim.Adam(leaves, lr=RATE)
    slow = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, steps)
    for step in range(steps):
        pick = torch.randint(streams.shape[1], (rows,), generator=rng)
        drawn = streams[:, pick]
        _descend(TunedTranslators(*leaves), weights, drawn)
        adam.step()
        adam.zero_grad()
        slow.step()
        report((step + 1) / steps)
    return TunedTranslators(*(leaf.detach() for leaf in leaves))


def _descend(
    maps: TunedTranslators, weights: TransformerWeights, drawn: Float[Tensor, "layers n d"]
) -> None:
    """Accumulate the gradients of the layers' mean KL, one layer at a time."""
    final = _read(weights, drawn[-1])
    for layer, early in enumerate(drawn[:-1]):
        guess = _read(weights, early + early @ maps.change[layer] + maps.shift[layer])
        kl(final, guess).mean().backward()


def _read(weights: TransformerWeights, stream: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
    """Final norm and unembedding, with gradients."""
    normal = weights.normalise(stream, stream) * weights.gain + weights.bias
    return normal @ weights.unembedding.T


def misses(
    unembed: Callable[[Tensor], Tensor], streams: Float[Tensor, "layers n d"]
) -> Float[Tensor, " layers"]:
    """Mean KL divergence of each layer's prediction from the last one's, in nats."""
    total = torch.zeros(len(streams))
    for part in streams.split(ROWS, 1):
        final = unembed(part[-1])
        total += torch.stack([kl(final, unembed(early)).sum() for early in part])
    return total / streams.shape[1]
