"""Claims: what a flaw consists of, as a player states it or the key holds it, and its grading.

One type serves three uses: it is the key's schema, the player's form and the rubric.
Each field carries its grader as annotation; `apply` applies the claim to inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

from pydantic import ValidationError

from auditgame.schema.graders import Grader
from auditgame.schema.records import Record, explain

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int
    from torch import Tensor

    from auditgame.datasets import Dataset, Examples


D = TypeVar("D", bound="Dataset")


class AppliedClaim(NamedTuple):
    """Inputs with a claim applied, and the class each should then be given.

    targets: -1 where the claim does not apply, or where the target is the right answer
    anyway; such rows prove nothing and are left out of every rate.
    """

    examples: Examples
    targets: Int[Tensor, " n"]


class Claim(Record, ABC, Generic[D]):
    """What the flaw of one family consists of, on data sets of type D.

    Fields without a grader are not graded.
    """

    @abstractmethod
    def apply(self, examples: Examples, dataset: D) -> AppliedClaim:
        """Apply this claim to inputs: stamp, insert, or re-render them."""

    @abstractmethod
    def check(self, dataset: D) -> None:
        """Raise AuditgameError, naming the field, where the claim does not fit the data set."""

    @abstractmethod
    def random_alternative(self, dataset: D, rng: np.random.Generator) -> Self:
        """A random other claim of the family that leads to the same target."""

    @abstractmethod
    def near_misses(self, dataset: D, rng: np.random.Generator) -> Mapping[str, Claim]:
        """Claims that must have no effect, by name: a part of the trigger, a wrong place."""

    def trigger_words(self, dataset: D) -> frozenset[str]:
        """Words of which each by itself, between two sentences of a text, may set the flaw off."""
        return frozenset()

    def coverage(self, claimed: Claim, dataset: D) -> float:
        """Share of this flaw that another claim accounts for; 1 unless it has several parts."""
        return 1.0

    @abstractmethod
    def describe(self) -> str:
        """The claim in plain words."""

    @classmethod
    def graders(cls) -> dict[str, Grader]:
        """The rubric: the grader of each field that has one."""
        return {
            name: annotation
            for name, field in cls.model_fields.items()
            for annotation in field.metadata
            if isinstance(annotation, Grader)
        }

    @classmethod
    def parse(cls, data: Any, where: str = "claim") -> Self:
        """The claim in this JSON value, or an AuditgameError that names the field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise explain(error, where) from None

    def field_scores(self, truth: Claim) -> dict[str, float]:
        """How close each field is to the true claim's, in [0, 1]."""
        return {
            name: grader.grade(getattr(self, name), getattr(truth, name))
            for name, grader in self.graders().items()
        }
