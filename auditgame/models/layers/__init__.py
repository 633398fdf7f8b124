"""The parts of networks, and the tap through which activations are read and edited."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

Tap = Callable[[str, Tensor], Tensor]
"""Called by a network at each of its sites with the site's name and value; returns the value that
the network continues with. Activations are read and edited this way, without hooks, so that
threads cannot interfere with each other."""


def untouched(name: str, value: Tensor) -> Tensor:
    """The tap that does nothing."""
    return value


class Selective(ABC):
    """A tap that says which sites it uses; a network need not compute the others."""

    @abstractmethod
    def sees(self, name: str) -> bool:
        """Is the value at this site read or edited?"""

    @abstractmethod
    def __call__(self, name: str, value: Tensor) -> Tensor:
        """The value that the network continues with."""


def unseen(tap: Tap, name: str) -> bool:
    """Is this site unused, so that a network may skip computing its value?"""
    return tap is untouched or (isinstance(tap, Selective) and not tap.sees(name))
