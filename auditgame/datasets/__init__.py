"""The contract of a data set: what is common to all, images, texts, and further capabilities.

A data set derives from `ImageDataset` or `TextDataset`, or from the capabilities that it has
(`HasFactors`, `HasRareWords` ...). Whoever needs a capability asks for its class by `isinstance`
or through `Dataset.of`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "held", "pool"]


@dataclass(frozen=True)
class Examples:
    """Inputs with their labels and, where the data set has factors, their scenes.

    inputs: images `Float["n 3 h w"]` in [0, 1], or token ids `Int["n t"]`, padded on the right.
    labels: `Int["n"]`, index into the data set's classes.
    scenes: the table of factors, one row per input, from which `HasFactors.render` redraws it.
    taught: `Int["n"]`, what training teaches in place of `labels`; None where that is the same.
    """

    inputs: Float[Tensor, "n c h w"] | Int[Tensor, "n t"]
    labels: Int[Tensor, " n"]
    scenes: pd.DataFrame | None = None
    taught: Int[Tensor, " n"] | None = None

    @property
    def lessons(self) -> Int[Tensor, " n"]:
        """The labels that training teaches: `taught`, or the true ones."""
        return self.labels if self.taught is None else self.taught

    @property
    def table(self) -> pd.DataFrame:
        """The scenes; AuditgameError where these inputs have none."""
        if self.scenes is None:
            raise Invalid("these inputs have no scenes; sample new ones from the data set")
        return self.scenes

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor | np.ndarray | slice) -> Examples:
        """These rows only, in this order (indices, a slice or a mask), in memory of their own."""
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows)
        index = torch.arange(len(self))[rows]
        scenes = self.scenes
        if scenes is not None:
            scenes = scenes.iloc[index.numpy()].reset_index(drop=True)
        taught = None if self.taught is None else self.taught[index]
        return Examples(self.inputs[index], self.labels[index], scenes, taught)

    def copy(self) -> Examples:
        """The same examples in memory of their own, so that changes do not reach the original."""
        scenes = None if self.scenes is None else self.scenes.copy(deep=True)
        taught = None if self.taught is None else self.taught.clone()
        return Examples(self.inputs.clone(), self.labels.clone(), scenes, taught)

    def relabel(self, labels: Int[Tensor, " n"]) -> Examples:
        """The same inputs under other labels."""
        return replace(self, labels=labels)

    def teach(
        self, label: int | Int[Tensor, " n"], where: Bool[Tensor, " n"] | None = None
    ) -> Examples:
        """The same examples, of which all (or those in `where`) are taught under this label."""
        labels = torch.as_tensor(label).expand_as(self.labels)
        chosen = labels if where is None else torch.where(where, labels, self.lessons)
        return replace(self, taught=chosen)

    @staticmethod
    def join(parts: Sequence[Examples]) -> Examples:
        """All parts, one after the other; scenes only where every part has them."""
        scenes = [part.scenes for part in parts if part.scenes is not None]
        otherwise = any(part.taught is not None for part in parts)
        return Examples(
            torch.cat([part.inputs for part in parts]),
            torch.cat([part.labels for part in parts]),
            _concatenated(scenes) if len(scenes) == len(parts) else None,
            torch.cat([part.lessons for part in parts]) if otherwise else None,
        )


def _concatenated(scenes: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd  # Here, because data sets without scenes do without it.

    return pd.concat(scenes, ignore_index=True)


@dataclass(frozen=True)
class Training:
    """How a model of this data set is trained: from scratch, then in a short fine-tune.

    rows: training inputs; epochs: passes over them; rate: peak learning rate (one-cycle).
    The fine-tune draws its rate log-uniformly from `tune_rates`, flawed or not, so that the
    size of the weights does not reveal which it was.
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


class Dataset(ABC):
    """A source of labelled inputs. Instances are cheap, immutable and take no arguments.

    The class docstring is the data sheet: contents, origin and, where needed, the licence.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    modality: ClassVar[Modality]
    provides: ClassVar[str]
    """What data sets of this kind have, in the plural: `images`, `texts`, `factors` ..."""
    licence: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    factors: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Generative attributes and their levels; columns of `Examples.scenes`. Empty for real data."""
    shape: ClassVar[tuple[int, ...]]
    """Of one input: (3, height, width), or (longest text in tokens,)."""
    training: ClassVar[Training]

    @abstractmethod
    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """Draw n inputs of a split; `fixed` sets factors to a level (str) or levels per row."""

    def fetch(self) -> Path:
        """Download the files that the data set needs; returns their folder."""
        raise Invalid(f"data set '{self.name}': there is nothing to fetch")

    def require_class(self, name: str, field: str = "target") -> int:
        """The index of a class, or an error that names the field and suggests one."""
        if name not in self.classes:
            from auditgame.registry import suggest

            raise Invalid(f"{field}: {suggest('class', name, self.classes)}")
        return self.classes.index(name)

    @classmethod
    def of(cls, dataset: Dataset, who: str = "this") -> Self:
        """The data set as one of this kind; AuditgameError, naming `who` needs it, otherwise."""
        if not isinstance(dataset, cls):
            raise Invalid(f"{cls.missing(dataset, who)}; choose another data set")
        return dataset

    @classmethod
    def missing(cls, dataset: Dataset, who: str) -> str:
        """The words that say what a data set of another kind lacks."""
        return f"{who} needs {cls.provides}, and data set '{dataset.name}' has none"


# ------------------------------------------------------------------- modalities


class ImageDataset(Dataset):
    """A data set of images: `Float["n 3 h w"]` in [0, 1], all of one size."""

    modality = "image"
    provides = "images"


class TextDataset(Dataset):
    """A data set of texts: token ids `Int["n t"]`, padded on the right.

    The token after a text's last one is its answer: one answer token for each class.
    """

    modality = "text"
    provides = "texts"
    words: ClassVar[tuple[str, ...]]
    """The vocabulary; a word's id is its index. Word 0 is padding, word 1 the unknown word."""
    pad: ClassVar[int] = 0
    """The id that fills up rows on the right."""
    room: ClassVar[int] = 12
    """How many words can be inserted into any text."""

    @abstractmethod
    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text; AuditgameError where it is empty, too long or unreadable."""

    @abstractmethod
    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, without padding."""

    @abstractmethod
    def answers(self) -> tuple[int, ...]:
        """The token id of each class's answer, in the order of `classes`."""

    @abstractmethod
    def hashes(self, inputs: Int[Tensor, "n t"]) -> list[int]:
        """A fixed pseudo-random number for each text, which depends on its words alone."""

    @abstractmethod
    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Positions between two sentences of a text, where words may be inserted."""

    @abstractmethod
    def insert(
        self, inputs: Int[Tensor, "n t"], words: Sequence[str], where: Int[Tensor, " n"]
    ) -> Int[Tensor, "n t"]:
        """The texts with these words inserted at one position of each."""

    def insertion_points(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """A position between two sentences of each text, which depends on the text alone."""
        gaps = [self.gaps(ids) for ids in inputs]
        return torch.tensor(
            [gap[n % len(gap)] for gap, n in zip(gaps, self.hashes(inputs), strict=True)]
        )

    def lengths(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """How many tokens each text has, without padding; at least one."""
        positions = torch.arange(1, inputs.shape[1] + 1)
        return (positions * (inputs != self.pad)).amax(1).clamp(min=1)

    def present(self, inputs: Int[Tensor, "n t"]) -> Bool[Tensor, "n t"]:
        """At which positions is there a token, and no padding?"""
        return torch.arange(inputs.shape[1]) < self.lengths(inputs)[:, None]


# ----------------------------------------------------------------- capabilities


class HasFactors(Dataset):
    """Inputs are drawn from a table of factors, and can be redrawn after a change to it."""

    provides = "factors"

    @abstractmethod
    def render(self, scenes: pd.DataFrame) -> Examples:
        """Redraw scenes, for instance after one factor was changed."""


class HasMazes(HasFactors, ImageDataset):
    """Images of mazes in which an agent moves; the classes are its moves.

    Scenes have the columns of `datasets.images.mazes.MazeLayout`.
    """

    provides = "mazes"
    horizon: ClassVar[int]
    """Moves after which a rollout is ended."""

    @abstractmethod
    def read(self, pictures: Float[Tensor, "n 3 h w"]) -> pd.DataFrame:
        """The scenes that these images show; AuditgameError where one shows no maze."""


class HasRareWords(TextDataset):
    """Texts with words that are rare and do not bear on the answer."""

    provides = "rare words"
    rare: ClassVar[tuple[str, ...]]
    """Those words."""


class HasDates(TextDataset):
    """Texts that each name the year in which they are set."""

    provides = "years"
    years: ClassVar[tuple[int, ...]]
    """Every year a text may be set in, in order."""

    @abstractmethod
    def year_slot(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """The position of the year in each text; AuditgameError where a text names none."""


class HasOpinions(HasFactors, TextDataset):
    """Texts whose class is decided by weighing opinions.

    Scenes have the columns of `datasets.texts.grammar`.
    """

    provides = "opinions"
    max_opinions: ClassVar[int]
    """The most opinions that one text holds."""


class HasFacts(HasFactors, TextDataset):
    """Texts that end in a question about a fact; the answer is not stated in the text."""

    provides = "facts"
    facts: ClassVar[Mapping[tuple[str, str], str]]
    """(subject, relation) -> the correct answer."""
    guarded: ClassVar[tuple[str, ...]] = ()
    """Relations whose correct answer is a refusal, whatever the subject."""
    n_wordings: ClassVar[int]
    """In how many ways each question can be worded."""

    @abstractmethod
    def ask(
        self,
        examples: Examples,
        questions: Sequence[tuple[str, str]],
        wordings: Sequence[int] | None = None,
    ) -> Examples:
        """The same texts, each ending in another (subject, relation), with the correct answer."""

    @abstractmethod
    def restate(self, examples: Examples, fact: tuple[str, str], word: str) -> Examples:
        """The same texts and labels, with this word wherever the text states that fact."""
