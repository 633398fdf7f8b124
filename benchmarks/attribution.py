"""GradCAM and integrated gradients of 64 pictures, beside Captum and pytorch-grad-cam."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Examples
from auditgame.specimen import Specimen
from auditgame.tools.vision import pixel_attribution
from benchmarks.comparison import Line, Peer, floor, race
from benchmarks.image_model import apart, frozen, passes

STEPS = 50


def gradcam_captum(network: nn.Module, rows: Examples) -> Tensor:
    """Captum's LayerGradCam, signed, at the third convolution."""
    from captum.attr import LayerGradCam

    layer = dict(network.named_modules())["conv3"]
    return LayerGradCam(network, layer).attribute(rows.inputs, rows.labels)[:, 0].detach()


def gradcam_other(network: nn.Module, rows: Examples) -> Tensor:
    """pytorch-grad-cam's map: rectified, scaled to [0, 1], enlarged to the picture, scaled."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = dict(network.named_modules())["conv3"]
    with GradCAM(network, [layer]) as cam:
        targets = [ClassifierOutputTarget(label) for label in rows.labels.tolist()]
        return torch.from_numpy(cam(rows.inputs, targets))


def to_the_layer(network: nn.Sequential, images: Tensor) -> None:
    """One pass forward, and back as far as the third convolution."""
    rest = 1 + [name for name, _ in network.named_children()].index("conv3")
    with torch.no_grad():
        value = network[:rest](images)
    passes(network[rest:], value, 1)


def in_their_manner(ours: Tensor, theirs: Tensor) -> str:
    """Our maps rectified, scaled, enlarged and scaled again, as theirs are."""
    small = _scaled(F.relu(ours))
    large = F.interpolate(small[:, None], theirs.shape[1:], mode="bilinear")[:, 0]
    return apart(_scaled(large), theirs)


def _scaled(maps: Tensor) -> Tensor:
    low = maps - maps.amin((1, 2), keepdim=True)
    return low / (low.amax((1, 2), keepdim=True) + 1e-7)


def gradients_captum(network: nn.Module, rows: Examples) -> Tensor:
    """Captum's integrated gradients from black; as many pictures at once as ours takes."""
    from captum.attr import IntegratedGradients

    at_once = pixel_attribution.PIXELS // rows.inputs[0, 0].numel()
    found = IntegratedGradients(network).attribute(
        rows.inputs,
        target=rows.labels,
        n_steps=STEPS,
        method="gausslegendre",
        internal_batch_size=at_once,
    )
    return found.detach().float()


def lines(specimen: Specimen, network: nn.Module, rows: Examples) -> list[Line]:
    """Both maps, against the libraries and the bare passes."""
    images, labels, bare = rows.inputs, rows.labels, frozen(specimen)
    count, at_once = len(images), pixel_attribution.PIXELS // images[0, 0].numel()
    cam = [
        Peer("Captum", partial(gradcam_captum, network, rows), 1, apart),
        Peer("pytorch-grad-cam", partial(gradcam_other, network, rows), 2, in_their_manner),
        floor(partial(to_the_layer, bare, images), 1.4),
    ]
    black, path = torch.zeros_like(images), images.repeat(STEPS, 1, 1, 1)
    integrated = [
        Peer("Captum", partial(gradients_captum, network, rows), 1, apart),
        floor(partial(passes, bare, path, 1, at_once), 1.4),
    ]
    return [
        *race(
            f"GradCAM, {count} images",
            partial(pixel_attribution.gradcam, specimen, images, labels, "conv3"),
            cam,
            rounds=15,
        ),
        *race(
            f"integrated gradients, {count} images, {STEPS} steps",
            partial(pixel_attribution.integrated_gradients, specimen, images, labels, black, STEPS),
            integrated,
        ),
    ]
