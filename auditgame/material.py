"""What a tool is handed beside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from auditgame.datasets import Dataset, Examples
from auditgame.specimen import Specimen


class Stopped(Exception):
    """The person who asked for it stopped this tool."""


def no_progress(share: float, words: str) -> None:
    """The progress report that goes nowhere."""


@dataclass(frozen=True)
class Material:
    """What lies on the desk beside the specimen.

    examples: the players' own pool. siblings: clean models of the same recipe.
    picture: an uploaded image, `3 h w` in [0, 1] at the data set's size, if there is one.
    progress: call with (share done, words) about once a second; it may raise Stopped.
    """

    dataset: Dataset
    examples: Examples
    siblings: tuple[Specimen, ...] = ()
    picture: Float[Tensor, "3 h w"] | None = None
    progress: Callable[[float, str], None] = no_progress
