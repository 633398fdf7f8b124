"""What networks are made of, and how their insides are seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

Tap = Callable[[str, Tensor], Tensor]
"""Called by a network at each of its sites with the site's name and value; returns the value to
go on with. Reading and editing are both done this way: no hooks, so threads cannot meet."""


def untouched(name: str, value: Tensor) -> Tensor:
    """The tap that does nothing."""
    return value


class Selective(ABC):
    """A tap that names the sites it looks at. What it does not see need not be made."""

    @abstractmethod
    def sees(self, name: str) -> bool:
        """Is the value at this site wanted, or changed?"""

    @abstractmethod
    def __call__(self, name: str, value: Tensor) -> Tensor:
        """The value to go on with."""


def unseen(tap: Tap, name: str) -> bool:
    """Does nobody look at this site, so that a network may take a shorter way past it?"""
    return tap is untouched or (isinstance(tap, Selective) and not tap.sees(name))
