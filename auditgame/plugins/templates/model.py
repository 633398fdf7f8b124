"""The model `two_conv`: two convolutions and a mean."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Dataset, ImageDataset
from auditgame.models import ImageModel, Tap, untouched
from auditgame.schema.cards import Site

FIRST, SECOND = 16, 32
"""Channels of the two convolutions."""


class TwoConv(ImageModel):
    """5x5 stride 2 (16) - ReLU - 3x3 stride 2 (32) - ReLU - mean over positions - linear.

    Sites: `conv1` and `conv2`, each after its ReLU.
    """

    name = "two_conv"
    title = "Two convolutions"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, FIRST, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(FIRST, SECOND, 3, stride=2, padding=1)
        self.head = nn.Linear(SECOND, classes)
        self.sites = (
            Site(name="conv1", kind="channel", units=FIRST),
            Site(name="conv2", kind="channel", units=SECOND),
        )

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> TwoConv:
        """A network for this data set; weights drawn from rng, or left empty where it is None."""
        images = ImageDataset.of(dataset, f"model '{cls.name}'")
        with torch.device("meta"):
            model = cls(images.shape[0], len(images.classes))
        model = model.to_empty(device="cpu")
        if rng is not None:
            for layer in (model.conv1, model.conv2, model.head):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=rng)
                nn.init.zeros_(layer.bias)
        return model

    def forward(
        self, inputs: Float[Tensor, "n c h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of images in [0, 1]."""
        value = tap("conv1", F.relu(self.conv1((inputs - 0.5) * 4)))
        value = tap("conv2", F.relu(self.conv2(value)))
        return self.head(value.mean((2, 3)))
