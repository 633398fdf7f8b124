"""Trigger inversion of ten classes, beside the plain loop of the paper: class by class."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame import paths
from auditgame.datasets import Examples
from auditgame.play import referee
from auditgame.specimen import Specimen
from auditgame.tools.vision import trigger_inversion
from auditgame.tools.vision.trigger_inversion import COST, DOWN, RATE, SUCCESS, UP
from benchmarks.comparison import Line, Peer, floor, race
from benchmarks.image_model import DATASET, frozen, passes, plain

CLASSES, STEPS, BATCH = 10, 120, 8
"""Steps and pictures per step as the tool has them."""


def invert_ours(specimen: Specimen, rows: Examples) -> list[float]:
    """The tool's search: the size of each class's stamp."""
    rng = torch.Generator().manual_seed(0)
    return trigger_inversion.invert(
        specimen, rows, range(CLASSES), STEPS, BATCH, rng
    ).sizes.tolist()


def invert_plainly(network: nn.Module, rows: Examples) -> list[float]:
    """The same masks, prices and steps, written for one class at a time, as in the paper.

    The network is used as it is loaded, so that its weights get gradients too; nobody stops
    early. (Neural Cleanse: Wang et al. 2019, IEEE S&P)
    """
    rng = torch.Generator().manual_seed(0)
    sizes = [float(_stamp(network, rows, label, rng).sum()) for label in range(CLASSES)]
    network.zero_grad()
    return sizes


def _stamp(network: nn.Module, rows: Examples, label: int, rng: torch.Generator) -> Tensor:
    _, _, height, width = rows.inputs.shape
    mask = (0.5 * torch.randn(height, width, generator=rng)).requires_grad_()
    pattern = (0.5 * torch.randn(3, height, width, generator=rng)).requires_grad_()
    adam = torch.optim.Adam([mask, pattern], lr=RATE, betas=(0.5, 0.9))
    price, hits, best = COST, 0.0, torch.full((height, width), torch.inf)
    for _ in range(STEPS):
        images = rows.inputs[torch.randint(len(rows), (BATCH,), generator=rng)]
        cover, colours = torch.tanh(mask) / 2 + 0.5, torch.tanh(pattern) / 2 + 0.5
        logits = network((1 - cover) * images + cover * colours)
        loss = F.cross_entropy(logits, torch.full((BATCH,), label)) + price * cover.sum()
        adam.zero_grad()
        loss.backward()
        hits = 0.8 * hits + 0.2 * float((logits.argmax(1) == label).float().mean())
        price *= UP if hits >= SUCCESS else 1 / DOWN
        if hits >= SUCCESS and cover.sum() < best.sum():
            best = cover.detach().clone()
        adam.step()
    return best if best.isfinite().all() else cover.detach()


def verdicts(ours: list[float], theirs: list[float]) -> str:
    """The class with the smallest stamp, and the index, by both."""
    both = [
        f"class {int(np.argmin(s))}, index {trigger_inversion.index(s):.2f}" for s in (ours, theirs)
    ]
    return "; theirs ".join(both)


def lines(rows: Examples) -> list[Line]:
    """Against the plain loop, on a patched network of the practice pack."""
    folder = next(
        path.parent
        for path in sorted(paths.practice().glob(f"{DATASET}-*/bundle.json"))
        if referee.reveal(path.parent).truth.family == "patch"
    )
    suspect = referee.set_up(folder, referee.bundles.read_manifest(folder)).suspect
    bare = partial(passes, frozen(suspect), rows.inputs, STEPS * CLASSES * BATCH // len(rows))
    peers = [
        Peer("class by class", partial(invert_plainly, plain(suspect), rows), 1.4, verdicts),
        floor(bare, 1.4),
    ]
    return race(f"inversion, {CLASSES} classes", partial(invert_ours, suspect, rows), peers)
