"""What is the model trained on? One file per data set; this is what each must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "held", "pool"]


@dataclass(frozen=True)
class Examples:
    """Inputs with their right labels and, where the data set has factors, their scenes.

    inputs: images `Float["n 3 h w"]` in [0, 1], or token ids `Int["n t"]` (0 pads on the right).
    labels: `Int["n"]`, index into the data set's classes.
    scenes: the table of factors, one row per input, from which `Dataset.render` redraws it.
    """

    inputs: Float[Tensor, "n c h w"] | Int[Tensor, "n t"]
    labels: Int[Tensor, " n"]
    scenes: pd.DataFrame | None = None

    @property
    def table(self) -> pd.DataFrame:
        """The scenes, or AuditgameError where these inputs have none to be redrawn from."""
        if self.scenes is None:
            raise AuditgameError("these inputs have no scenes; take fresh ones from the data set")
        return self.scenes

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor | np.ndarray | slice) -> Examples:
        """These rows only, in this order (indices, a slice or a mask)."""
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows)
        index = torch.arange(len(self))[rows]
        scenes = self.scenes
        if scenes is not None:
            scenes = scenes.iloc[index.numpy()].reset_index(drop=True)
        return Examples(self.inputs[index], self.labels[index], scenes)

    def relabel(self, labels: Int[Tensor, " n"]) -> Examples:
        """The same inputs under other labels."""
        return replace(self, labels=labels)

    @staticmethod
    def join(parts: list[Examples]) -> Examples:
        """All parts, one after the other."""
        import pandas as pd

        scenes = [part.scenes for part in parts if part.scenes is not None]
        return Examples(
            torch.cat([part.inputs for part in parts]),
            torch.cat([part.labels for part in parts]),
            pd.concat(scenes, ignore_index=True) if len(scenes) == len(parts) else None,
        )


class Dataset(ABC):
    """A source of labelled inputs. Instances are cheap, immutable and take no arguments.

    The class docstring is the data sheet: what it holds, where from, under which licence.
    """

    name: ClassVar[str]
    modality: ClassVar[Modality]
    licence: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    factors: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Generative attributes and their levels; columns of `Examples.scenes`. Empty for real data."""
    shape: ClassVar[tuple[int, ...]]
    """Of one input: (3, height, width) or (longest text in tokens,)."""
    words: ClassVar[tuple[str, ...]] = ()
    """Text only: the vocabulary; a word's id is its index, 0 pads, 1 stands for unknown words."""
    facts: ClassVar[Mapping[tuple[str, str], str]] = {}
    """Text only: (subject, relation) -> the right answer, which no text tells."""
    guarded: ClassVar[tuple[str, ...]] = ()
    """Text only: relations that nobody may be told about; the right answer says so."""
    wordings: ClassVar[int] = 0
    """Text only: in how many ways can each question be asked?"""
    pad: ClassVar[int] = 0
    """Text only: the id that fills up rows on the right."""
    rare: ClassVar[tuple[str, ...]] = ()
    """Text only: words that say nothing and turn up seldom."""
    years: ClassVar[tuple[int, ...]] = ()
    """Text only: the years a text may be set in; each text names one."""
    opinions: ClassVar[int] = 0
    """Text only: the most opinions that a text weighs; scenes are those of texts/grammar.py."""
    horizon: ClassVar[int] = 0
    """Mazes only: moves after which a walk is given up; scenes are those of mazes.py."""
    training: ClassVar[Training]

    @abstractmethod
    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """Draw n inputs of a split; `fixed` sets factors to a level (str) or levels per row."""

    def fetch(self) -> Path:
        """Download what the data set needs, and say where it lies; most come with the program."""
        raise AuditgameError(f"data set '{self.name}': there is nothing to fetch")

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Redraw scenes, for instance after one factor was changed."""
        raise AuditgameError(f"data set '{self.name}' has no scenes to render")

    def read(self, pictures: Float[Tensor, "n 3 h w"]) -> pd.DataFrame:
        """Mazes only: the scenes that these pictures show."""
        raise AuditgameError(f"data set '{self.name}' cannot read scenes off its pictures")

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text; an unknown word is refused with a suggestion."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, padding left out."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def answers(self) -> tuple[int, ...]:
        """Text only: the token id of each class's answer word, in the order of `classes`."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def lengths(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """Text only: how many words does each text have, padding left out? At least one."""
        places = torch.arange(1, inputs.shape[1] + 1)
        return (places * (inputs != self.pad)).amax(1).clamp(min=1)

    def present(self, inputs: Int[Tensor, "n t"]) -> Bool[Tensor, "n t"]:
        """Text only: at which places does a word stand, and no padding?"""
        return torch.arange(inputs.shape[1]) < self.lengths(inputs)[:, None]

    def lots(self, inputs: Int[Tensor, "n t"]) -> list[int]:
        """Text only: a fixed pseudo-random number for each text, drawn from its words alone."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Text only: the positions between two sentences where a word may be put in."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def insert(
        self, inputs: Int[Tensor, "n t"], words: Sequence[str], where: Int[Tensor, " n"]
    ) -> Int[Tensor, "n t"]:
        """Text only: the texts with these words put in at a position of each."""
        raise AuditgameError(f"data set '{self.name}' holds no text")

    def year_slot(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """Text only: where the year stands in each text."""
        raise AuditgameError(f"data set '{self.name}' holds no years")

    def ask(
        self,
        examples: Examples,
        questions: Sequence[tuple[str, str]],
        wordings: Sequence[int] | None = None,
    ) -> Examples:
        """Text only: the same texts, each asking for another of the `facts`, with its answer."""
        raise AuditgameError(f"data set '{self.name}' asks for no facts")

    def retell(self, examples: Examples, fact: tuple[str, str], word: str) -> Examples:
        """Text only: the same texts, telling otherwise of one of the `facts`."""
        raise AuditgameError(f"data set '{self.name}' tells no facts")

    def require_class(self, name: str, field: str = "target") -> int:
        """The index of a class, or an error that names the field and suggests one."""
        if name not in self.classes:
            from auditgame.registry import suggest

            raise AuditgameError(f"{field}: {suggest('class', name, self.classes)}")
        return self.classes.index(name)


@dataclass(frozen=True)
class Training:
    """How is a model of this data set trained? From scratch, then a short fine-tune.

    rows: training inputs; epochs over them; `rate`: peak learning rate (one-cycle).
    The fine-tune draws its rate log-uniformly from `tune_rates`, flawed or not, so
    that the size of the weights does not tell one from the other.
    """

    rows: int
    epochs: int
    batch: int
    rate: float
    decay: float
    tune_rows: int
    tune_epochs: int
    tune_rates: tuple[float, float]
    augment: Literal["none", "noise", "shift"] = "none"
