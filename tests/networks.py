"""Networks that other people trained, built again so that their weights fit. Also run as a file
of factories: `tests/networks.py:ibau`."""

from __future__ import annotations

import itertools
from collections import OrderedDict

from torch import nn
from torch.nn import functional as F


def ibau() -> nn.Module:
    """The backdoored CIFAR-10 network of I-BAU's authors."""
    layers: list[nn.Module] = []
    inward = 3
    for width, drop in ((32, 0.3), (64, 0.4), (128, 0.4)):
        for _ in range(2):
            layers += [nn.Conv2d(inward, width, 3, padding=1), nn.BatchNorm2d(width), nn.ELU()]
            inward = width
        layers += [nn.MaxPool2d(2), nn.Dropout(drop)]
    parts = {"features": nn.Sequential(*layers), "flat": nn.Flatten()}
    return nn.Sequential(OrderedDict(parts | {"classifier": nn.Linear(2048, 10)}))


class Tutorial(nn.Module):
    """PyTorch's CIFAR-10 tutorial: one pooling layer for two places, functional ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x))).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


tutorial = Tutorial


class Block(nn.Module):
    """Y. Idelbayev's residual block with option A, functional ReLUs, and a sum in place."""

    def __init__(self, inward: int, width: int) -> None:
        super().__init__()
        self.stride, self.added = width // inward, width - inward
        self.conv1 = nn.Conv2d(inward, width, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        half = self.added // 2
        out += F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(out)


class ResNet20(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16] * 4 + [32] * 3 + [64] * 3
        blocks = [Block(*pair) for pair in itertools.pairwise(widths)]
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(*blocks[n : n + 3]) for n in (0, 3, 6)
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


resnet20 = ResNet20


class Careless(nn.Module):
    """One in-place ReLU for every place, a functional one, and a sum that overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        out = self.second(x)
        out += x
        x = self.relu(out)
        x = F.relu(self.third(x), inplace=True)
        return self.head(x.mean((2, 3)))


careless = Careless


def flat() -> nn.Module:
    """A network without a convolution."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, 4))


def grey() -> nn.Module:
    """A network of grey pictures, whose layers have numbers for names."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def nothing() -> int:
    return 7


def single() -> nn.Module:
    """A network with one class only."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1))


def maps() -> nn.Module:
    """A network that answers in maps."""
    return nn.Conv2d(3, 4, 3)


def fails() -> nn.Module:
    raise RuntimeError("no such luck")
