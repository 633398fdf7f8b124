"""A residual network of about 173,000 parameters for small photographs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Dataset, ImageDataset
from auditgame.models import ImageModel, Tap, untouched
from auditgame.models.layers.canonical_form import NormalisedLayer
from auditgame.models.layers.deferred_init import BatchNorm, Conv, Linear
from auditgame.schema.cards import Site

WIDTHS = (16, 32, 64)
"""Channels of the three stages; the image's side is halved from one to the next."""
BLOCKS = 2
"""Residual blocks in each stage."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection without weights (option A of the paper)."""

    def __init__(self, inward: int, width: int) -> None:
        super().__init__()
        self.stride, self.added = width // inward, width - inward
        self.conv1 = Conv(inward, width, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(width)

    def forward(
        self, value: Float[Tensor, "n c h w"], tap: Tap, name: str
    ) -> Float[Tensor, "n d i j"]:
        """The sum of both branches, after its ReLU; sites are tapped under the block's name."""
        inner = tap(f"{name}.inner.pre", self.norm1(self.conv1(value)))
        inner = tap(f"{name}.inner", F.relu(inner))
        skip = F.pad(value[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        total = tap(f"{name}.pre", self.norm2(self.conv2(inner)) + skip)
        return tap(name, F.relu(total))


class ResNet(ImageModel):
    """The residual network of He et al. for CIFAR-10, with six blocks (ResNet-14).

    3x3 (16) - two blocks of 16 - two of 32, stride 2 - two of 64, stride 2 - average - linear.
    Made for 32-pixel images, whose last maps are 8x8. Sites, in order: `stem.pre`, `stem`;
    for N = 1 to 6 `blockN.inner.pre`, `blockN.inner` (between the block's two convolutions),
    `blockN.pre` (the sum, before its ReLU) and `blockN`. Source: He et al. 2015,
    arXiv:1512.03385, section 4.2.
    """

    name = "resnet"
    title = "ResNet-14"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = [width for width in WIDTHS for _ in range(BLOCKS)]
        self.stem = Conv(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.norm = BatchNorm(WIDTHS[0])
        self.blocks = nn.ModuleList(
            ResidualBlock(inward, width)
            for inward, width in zip([WIDTHS[0], *widths], widths, strict=False)
        )
        self.head = Linear(WIDTHS[-1], classes)
        self.sites = tuple(
            Site(name=f"{name}{suffix}", kind="channel", units=width)
            for name, width in _activations(widths)
            for suffix in (".pre", "")
        )
        self.map_site = f"block{len(widths)}"

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> ResNet:
        """A network for this data set's images and classes; torch's global RNG is not used."""
        images = ImageDataset.of(dataset, f"model '{cls.name}'")
        model = cls(images.shape[0], len(images.classes))
        if rng is not None:
            model.initialise(rng)
        return model

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Draw all weights from rng (He et al. 2015, arXiv:1502.01852); norms are the identity."""
        for layer in self.modules():
            if isinstance(layer, BatchNorm):
                layer.initialise()
            elif isinstance(layer, Conv):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=rng)
        bound = WIDTHS[-1] ** -0.5
        self.head.weight.uniform_(-bound, bound, generator=rng)
        self.head.bias.zero_()

    def normalised_layers(self) -> list[NormalisedLayer]:
        """Only the first convolution of a block is read by one layer alone; others are added."""
        layers = [NormalisedLayer(self.stem, self.norm, None)]
        for block in self.blocks:
            layers.append(NormalisedLayer(block.conv1, block.norm1, block.conv2))
            layers.append(NormalisedLayer(block.conv2, block.norm2, None))
        return layers

    def forward(
        self, inputs: Float[Tensor, "n c h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of images in [0, 1]."""
        value = tap("stem.pre", self.norm(self.stem((inputs - 0.5) * 4)))
        value = tap("stem", F.relu(value))
        for n, block in enumerate(self.blocks, 1):
            value = block(value, tap, f"block{n}")
        return self.head(value.mean((2, 3)))


def _activations(widths: list[int]) -> list[tuple[str, int]]:
    """The sites after a ReLU, in order, each with its channels."""
    blocks = [
        (f"block{n}{part}", width) for n, width in enumerate(widths, 1) for part in (".inner", "")
    ]
    return [("stem", WIDTHS[0]), *blocks]
