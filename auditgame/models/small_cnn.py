"""A plain convolutional network of about 97,000 parameters, quick to train and to analyse."""

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

WIDTHS = (24, 48, 64, 96)
"""Channels of the four convolutions."""


class SmallCNN(ImageModel):
    """Four convolutions with batch normalisation and ReLU, global average pooling, a linear layer.

    5x5 stride 2 (24) - pool - 3x3 (48) - pool - 3x3 (64) - 3x3 (96) - average - linear.
    There is no pooling before the last convolutions, so that a 48-pixel image keeps
    6x6 maps: on smaller ones GradCAM shows nothing. Sites, in order, for N = 1 to 4:
    `convN.pre` (normalised, before ReLU) and `convN` (after ReLU).
    """

    name = "small_cnn"
    title = "Small CNN"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        inward = (channels, *WIDTHS)
        self.convs = nn.ModuleList(
            Conv(a, b, 3 if n else 5, stride=1 if n else 2, padding=1 if n else 2, bias=False)
            for n, (a, b) in enumerate(zip(inward, WIDTHS, strict=False))
        )
        self.norms = nn.ModuleList(BatchNorm(width) for width in WIDTHS)
        self.head = Linear(WIDTHS[-1], classes)
        self.sites = tuple(
            Site(name=f"conv{n}{suffix}", kind="channel", units=width)
            for n, width in enumerate(WIDTHS, 1)
            for suffix in (".pre", "")
        )

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> SmallCNN:
        """A network for this data set's images and classes; torch's global RNG is not used."""
        images = ImageDataset.of(dataset, f"model '{cls.name}'")
        model = cls(images.shape[0], len(images.classes))
        if rng is not None:
            model.initialise(rng)
        return model

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Draw all weights from rng (He et al. 2015, arXiv:1502.01852); norms are the identity."""
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=rng)
        for norm in self.norms:
            norm.initialise()
        bound = WIDTHS[-1] ** -0.5
        self.head.weight.uniform_(-bound, bound, generator=rng)
        self.head.bias.zero_()

    def normalised_layers(self) -> list[NormalisedLayer]:
        """Each convolution, read by the next or by the head."""
        readers = (*self.convs[1:], self.head)
        return [
            NormalisedLayer(*layer) for layer in zip(self.convs, self.norms, readers, strict=True)
        ]

    def forward(
        self, inputs: Float[Tensor, "n c h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of images in [0, 1]."""
        value = (inputs - 0.5) * 4
        for n, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True), 1):
            value = tap(f"conv{n}.pre", norm(conv(value)))
            value = tap(f"conv{n}", F.relu(value))
            if n <= 2:
                value = F.max_pool2d(value, 2)
        return self.head(value.mean((2, 3)))
