"""Feature visualisation of 64 channels, beside Lucent."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.specimen import Specimen
from auditgame.tools.vision import feature_visualisation
from auditgame.tools.vision.objectives import ChannelObjective
from auditgame.tools.vision.parametrisation import PRESETS, ImageParameters, colour_mix
from auditgame.tools.vision.regularisers import moved, penalty
from benchmarks.comparison import Line, Peer, Run, floor, race, seconds
from benchmarks.image_model import frozen, passes

STEPS, UNITS, ALONE, SIDE = 100, 64, 4, 48


def paint_ours(specimen: Specimen, images: Tensor) -> Float[Tensor, "n 3 h w"]:
    """All channels of conv3 in one optimisation, with the tool's own preset."""
    preset = PRESETS["natural"]
    units = [ChannelObjective("conv3", unit) for unit in range(UNITS)]
    canvas = ImageParameters(preset, (SIDE, SIDE), colour_mix(images))
    rng, taken = torch.Generator().manual_seed(0), penalty(preset, images)
    return feature_visualisation.maximise(specimen, units, canvas, STEPS, rng, taken).images


def paint_lucent(network: nn.Module, together: bool) -> list[np.ndarray]:
    """The same channels with Lucent: in one batch, or some of them one by one."""
    from lucent.optvis import objectives, param, render

    def paint(objective: Any, batch: int) -> np.ndarray:
        return render.render_vis(
            network,
            objective,
            partial(param.image, SIDE, batch=batch),
            thresholds=(STEPS,),
            preprocess=False,
            progress=False,
            show_image=False,
            fixed_image_size=SIDE,
        )[-1]

    torch.manual_seed(0)
    if together:
        parts = [objectives.channel("conv3_norm", unit, batch=unit) for unit in range(UNITS)]
        return list(paint(sum(parts[1:], parts[0]), UNITS))
    return [paint(objectives.channel("conv3_norm", unit), 1)[0] for unit in range(ALONE)]


def excitement(specimen: Specimen, ours: Tensor, theirs: list[np.ndarray]) -> str:
    """How strongly do both sets of pictures excite their channels, unmoved?"""
    count = len(theirs)
    to_norm, rows = frozen(specimen, "conv3_norm"), torch.arange(count)

    def reached(images: Tensor) -> float:
        with torch.no_grad():
            return float(to_norm(images)[rows, rows].mean())

    other = torch.from_numpy(np.stack(theirs)).permute(0, 3, 1, 2).float()
    return f"mean activation {reached(ours[:count]):.2f}, theirs {reached(other):.2f}"


def beside(images: Tensor, _ours: Any, _theirs: Any) -> str:
    """What do the steps take that are no passes through the network?"""
    preset, rng = PRESETS["natural"], torch.Generator().manual_seed(0)
    canvas, taken = (
        ImageParameters(preset, (SIDE, SIDE), colour_mix(images)),
        penalty(preset, images),
    )
    parameters = canvas.blank(UNITS, rng).requires_grad_()
    pictures = canvas.paint(parameters).detach().requires_grad_()
    slope, adam = (
        torch.randn(pictures.shape, generator=rng),
        feature_visualisation.Adam(parameters, 0.05),
    )
    parts: dict[str, Run] = {
        "rendering": lambda: torch.autograd.grad(canvas.paint(parameters), parameters, slope),
        "transformations": lambda: torch.autograd.grad(
            moved(pictures, preset, SIDE, rng), pictures, slope
        ),
        "penalty": lambda: torch.autograd.grad(taken(pictures).sum(), pictures),
        "Adam": lambda: adam.step(parameters.detach()),
    }
    found = (f"{name} {STEPS * min(map(seconds, [run] * 9)):.2f} s" for name, run in parts.items())
    return f"the same network and images; other time: {', '.join(found)}"


def lines(specimen: Specimen, network: nn.Module, images: Tensor) -> list[Line]:
    """Against Lucent one by one and batched, and against the bare passes."""
    agree = partial(excitement, specimen)
    bare = partial(passes, frozen(specimen, "conv3_norm"), images[:UNITS], STEPS)
    peers = [
        Peer(
            f"Lucent, one by one (measured on {ALONE})",
            partial(paint_lucent, network, False),
            8,
            agree,
            share=ALONE / UNITS,
        ),
        Peer("Lucent, batched", partial(paint_lucent, network, True), 2, agree),
        floor(bare, 1.4)._replace(agree=partial(beside, images)),
    ]
    task = f"feature visualisation, {UNITS} channels, {STEPS} steps, {SIDE} px"
    return race(task, partial(paint_ours, specimen, images), peers)
