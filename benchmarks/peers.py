"""Our image tools against the libraries their users know: `make bench`, which writes docs/bench.md.

One run, one thread, one model (a clean sibling of storybook, 97,000 parameters), all taking
turns; the peers get the same weights as a plain network with a module for every layer.
A floor is the passes through the network that the task cannot do without.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame import attribution, inversion, places, referee, visualisation
from auditgame.canvas import PRESETS, Canvas
from auditgame.catalog import load
from auditgame.datasets import Examples
from auditgame.objectives import Channel
from auditgame.priors import penalty
from auditgame.siblings import read_siblings
from auditgame.specimen import Specimen
from benchmarks.race import Line, Peer, race, table

DATASET, MODEL = "storybook", "small_cnn"
STEPS, UNITS, ALONE = 100, 64, 4
PICTURES, GRADIENT_STEPS = 64, 50


class Standard(nn.Module):
    """Moves pixel values as the small network does at its entrance."""

    def forward(self, value: Tensor) -> Tensor:
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


def passes(
    network: nn.Module, images: Float[Tensor, "n 3 h w"], times: int, backward: bool = True
) -> None:
    """So many bare passes, forward and, where asked for, back to the pixels."""
    for _ in range(times):
        with torch.set_grad_enabled(backward):
            value = images.detach().requires_grad_(backward)
            out = network(value)
            if backward:
                torch.autograd.grad(out.sum(), value)


def apart(ours: Tensor, theirs: Tensor) -> str:
    """The largest difference, in parts of the largest value."""
    return f"differs by {float((ours - theirs).abs().max() / theirs.abs().max()):.1e} at most"


# ------------------------------------------------------- feature visualisation


def paint_ours(specimen: Specimen, seed: int = 0) -> Float[Tensor, "n 3 h w"]:
    """All channels of conv3 in one optimisation, with the tool's own preset."""
    preset = PRESETS["natural"]
    units = [Channel("conv3", unit) for unit in range(UNITS)]
    rng = torch.Generator().manual_seed(seed)
    nothing = torch.empty(0, 3, 48, 48)  # What a learned prior would be fitted on.
    taken = penalty(preset, nothing)
    return visualisation.maximise(
        specimen, units, Canvas(preset, (48, 48)), STEPS, rng, taken
    ).images


def paint_lucent(network: nn.Module, together: bool) -> list[np.ndarray]:
    """The same channels with Lucent: in one batch, or some of them one by one."""
    from lucent.optvis import objectives, param, render

    def paint(objective: Any, batch: int) -> np.ndarray:
        return render.render_vis(
            network,
            objective,
            partial(param.image, 48, batch=batch),
            thresholds=(STEPS,),
            preprocess=False,
            progress=False,
            show_image=False,
            fixed_image_size=48,
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


def frozen(specimen: Specimen, last: str = "head") -> nn.Sequential:
    """The plain network up to this layer, without gradients for its parameters: for floors."""
    network = plain(specimen)
    names = [name for name, _ in network.named_children()]
    return network[: names.index(last) + 1].requires_grad_(False)


def visualising(specimen: Specimen, network: nn.Sequential) -> list[Line]:
    """Feature visualisation of 64 channels."""
    pictures = torch.rand(UNITS, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    agree = partial(excitement, specimen)
    peers = [
        Peer(
            f"Lucent, one by one ({ALONE} of them)",
            partial(paint_lucent, network, False),
            8,
            agree,
            share=ALONE / UNITS,
        ),
        Peer("Lucent, batched", partial(paint_lucent, network, True), 2, agree),
        Peer(
            "floor: the passes",
            partial(passes, frozen(specimen, "conv3_norm"), pictures, STEPS),
            1.4,
            floor=True,
        ),
    ]
    task = f"feature visualisation, {UNITS} channels, {STEPS} steps, 48 px"
    return race(task, partial(paint_ours, specimen), peers, rounds=1)


# ----------------------------------------------------------------- attribution


def gradcam_captum(network: nn.Module, rows: Examples) -> Tensor:
    """Captum's LayerGradCam, signed, at the third convolution."""
    from captum.attr import LayerGradCam

    layer = dict(network.named_modules())["conv3"]
    return LayerGradCam(network, layer).attribute(rows.inputs, rows.labels)[:, 0].detach()


def gradcam_other(network: nn.Module, rows: Examples) -> Tensor:
    """pytorch-grad-cam's map: rectified, scaled to [0, 1], enlarged to the picture."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = dict(network.named_modules())["conv3"]
    with GradCAM(network, [layer]) as cam:
        targets = [ClassifierOutputTarget(label) for label in rows.labels.tolist()]
        return torch.from_numpy(cam(rows.inputs, targets))


def in_their_manner(ours: Tensor, theirs: Tensor) -> str:
    """Our maps rectified, scaled and enlarged as theirs."""
    positive = F.relu(ours)
    low, high = positive.amin((1, 2), True), positive.amax((1, 2), True)
    scaled = (positive - low) / (high - low + 1e-7)
    large = F.interpolate(scaled[:, None], theirs.shape[1:], mode="bilinear")[:, 0]
    return apart(large, theirs)


def explaining(specimen: Specimen, network: nn.Sequential, rows: Examples) -> list[Line]:
    """GradCAM on 64 pictures."""
    ours = partial(attribution.gradcam, specimen, rows.inputs, rows.labels, "conv3")
    peers = [
        Peer("Captum", partial(gradcam_captum, network, rows), 1, apart),
        Peer("pytorch-grad-cam", partial(gradcam_other, network, rows), 2, in_their_manner),
        Peer("floor: the passes", partial(passes, frozen(specimen), rows.inputs, 1), 2, floor=True),
    ]
    return race(f"GradCAM, {PICTURES} pictures", ours, peers, rounds=15)


# ------------------------------------------------------------------- inversion


def invert_all(specimen: Specimen, rows: Examples) -> list[float]:
    """The tool's search: classes share their steps, converged ones leave theirs to others."""
    rng = torch.Generator().manual_seed(0)
    found = inversion.invert(specimen, rows, range(10), 100, 32, rng)
    return found.sizes.tolist()


def invert_each(specimen: Specimen, rows: Examples) -> list[float]:
    """Class by class, the same masks and steps, nobody stops early."""
    sizes = []
    for label in range(10):
        rng = torch.Generator().manual_seed(0)
        sizes += inversion.invert(specimen, rows, [label], 100, 32, rng).sizes.tolist()
    return sizes


def verdicts(ours: list[float], theirs: list[float]) -> str:
    """The class with the smallest stamp, and the index, by both."""
    both = [f"class {int(np.argmin(s))}, index {inversion.index(s):.2f}" for s in (ours, theirs)]
    return "; theirs ".join(both)


def inverting(rows: Examples) -> list[Line]:
    """Trigger inversion of ten classes, on a patched network of the practice pack."""
    folder = next(
        path.parent
        for path in sorted(places.practice().glob(f"{DATASET}-*/bundle.json"))
        if referee.reveal(path.parent).truth.family == "patch"
    )
    suspect = referee.set_up(folder, referee.bundle.read_manifest(folder)).suspect
    peers = [Peer("class by class", partial(invert_each, suspect, rows), 1.4, verdicts)]
    return race("inversion, 10 classes", partial(invert_all, suspect, rows), peers, rounds=1)


def versions() -> str:
    """What was raced."""
    names = ("torch", "captum", "grad-cam", "torch-lucent")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{found}; Python {platform.python_version()}, {platform.machine()}, one thread"


def main() -> None:
    """Race, print, and write docs/bench.md."""
    torch.set_num_threads(1)
    dataset = load("dataset", DATASET)()
    specimen = read_siblings(DATASET, MODEL, dataset)[0]
    network, rows = plain(specimen), dataset.sample(PICTURES, "held", np.random.default_rng(0))
    races: list[Callable[[], list[Line]]] = [
        partial(explaining, specimen, network, rows),
        partial(visualising, specimen, network),
        partial(inverting, rows),
    ]
    lines = [line for run in races for line in run()]
    text = (
        "# Beside the peers\n\nMade by `make bench`. CPU seconds, median over turns; "
        f"{versions()}.\n\n{table(lines)}"
    )
    (places.home() / "docs" / "bench.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
