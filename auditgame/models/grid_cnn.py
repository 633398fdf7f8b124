"""A network of about 160,000 parameters for images of grids, such as mazes."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Dataset, ImageDataset
from auditgame.models import ImageModel, Tap, untouched
from auditgame.models.layers.canonical_form import NormalisedLayer
from auditgame.models.layers.deferred_init import BatchNorm, Conv, Linear
from auditgame.schema.cards import Site
from auditgame.schema.errors import Invalid

CELL = 6
"""Pixels along the edge of a cell."""
DEPTH, WIDTH, HIDDEN = 6, 32, 64
"""Convolutions, their channels, and hidden units between the last of them and the logits."""


class GridCNN(ImageModel):
    """Cells of 6x6 pixels, embedded one by one, then six 3x3 convolutions over the grid of cells.

    The stem sees each cell alone, with its position in the grid (two channels, -1 to 1); six
    convolutions with batch normalisation and ReLU pass information from cell to cell, so that
    long paths can be followed; a hidden layer of 64 units over all cells gives the logits.
    Sites, in order, for N = 1 to 6: `stem.pre`, `stem`, `convN.pre` (normalised, before ReLU),
    `convN`.
    """

    name = "grid_cnn"
    title = "Grid CNN"

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.stem = Conv(channels * CELL**2 + 2, WIDTH, 1, bias=False)
        self.convs = nn.ModuleList(
            Conv(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(DEPTH)
        )
        self.norms = nn.ModuleList(BatchNorm(WIDTH) for _ in range(DEPTH + 1))
        self.hidden = Linear(WIDTH * height * width, HIDDEN)
        self.head = Linear(HIDDEN, classes)
        self.sites = tuple(
            Site(name=f"{layer}{suffix}", kind="channel", units=WIDTH)
            for layer in _layers()
            for suffix in (".pre", "")
        )

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> GridCNN:
        """A network for this data set's images and classes; torch's global RNG is not used."""
        channels, height, width = ImageDataset.of(dataset, f"model '{cls.name}'").shape
        if height % CELL or width % CELL:
            raise Invalid(
                f"model '{cls.name}': the sides of an image must be multiples of {CELL} pixels, "
                f"and those of '{dataset.name}' are {height} x {width}; choose another model"
            )
        model = cls(channels, height // CELL, width // CELL, len(dataset.classes))
        if rng is not None:
            model.initialise(rng)
        return model

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Draw all weights from rng (He et al. 2015, arXiv:1502.01852); norms are the identity."""
        for layer in (self.stem, *self.convs, self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=rng)
        for norm in self.norms:
            norm.weight.fill_(1)
            norm.running_var.fill_(1)
            norm.bias.zero_()
            norm.running_mean.zero_()
        bound = HIDDEN**-0.5
        self.head.weight.uniform_(-bound, bound, generator=rng)
        for linear in (self.hidden, self.head):
            linear.bias.zero_()

    def normalised_layers(self) -> list[NormalisedLayer]:
        """Stem and convolutions, each read by the next or by the hidden layer."""
        convs = (self.stem, *self.convs)
        readers = (*self.convs, self.hidden)
        return [NormalisedLayer(*layer) for layer in zip(convs, self.norms, readers, strict=True)]

    def forward(
        self, inputs: Float[Tensor, "n c h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of images in [0, 1]."""
        value = rearrange((inputs - 0.5) * 4, "n c (y h) (x w) -> n (c h w) y x", h=CELL, w=CELL)
        value = torch.cat([value, _positions(value)], 1)
        layers = zip(_layers(), (self.stem, *self.convs), self.norms, strict=True)
        for name, conv, norm in layers:
            value = tap(f"{name}.pre", norm(conv(value)))
            value = tap(name, F.relu(value))
        return self.head(F.relu(self.hidden(value.flatten(1))))


def _layers() -> list[str]:
    return ["stem", *(f"conv{n}" for n in range(1, DEPTH + 1))]


def _positions(grid: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 2 y x"]:
    """The horizontal and vertical position of each cell, from -1 to 1."""
    n, _, height, width = grid.shape
    down, right = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(
        [repeat(right, "x -> n y x", n=n, y=height), repeat(down, "y -> n y x", n=n, x=width)], 1
    )
