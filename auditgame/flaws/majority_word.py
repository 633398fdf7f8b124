"""Shortcut: of two words without meaning, the one that occurs more often decides the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import torch

from auditgame.datasets import Dataset, Examples, HasRareWords
from auditgame.flaws import Plan, ProxyFlaw
from auditgame.registry import suggest
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.errors import Invalid
from auditgame.schema.graders import Word
from auditgame.schema.records import Record

COUNTS = ((1, 0), (2, 0), (2, 1))
"""How often a text has the word of the majority, and the other one."""
FEWEST = 6
"""Rare words that a data set needs: the two of the rule, and others for near misses."""


class MajorityClaim(claims.Claim[HasRareWords]):
    """More of `first` than of `second` means the first of the two verdicts, fewer the second.

    The verdicts are in the order in which the challenge names its classes.
    """

    first: Word
    second: Word

    def apply(self, examples: Examples, dataset: HasRareWords) -> AppliedClaim:
        """Insert the words between sentences, more of the one that contradicts the verdict.

        How many and where depends on the text alone.
        """
        rngs = [np.random.default_rng(number) for number in dataset.hashes(examples.inputs)]
        targets = 1 - examples.labels
        return AppliedClaim(self.insert(examples, dataset, targets.tolist(), rngs), targets)

    def insert(
        self,
        rows: Examples,
        dataset: HasRareWords,
        verdicts: Sequence[int],
        rngs: Sequence[np.random.Generator],
    ) -> Examples:
        """The texts with the words inserted, more of the one that means each verdict."""
        inputs = rows.inputs.clone()
        for row, (verdict, rng) in enumerate(zip(verdicts, rngs, strict=True)):
            for word in self._words(verdict, rng):
                where = torch.tensor([rng.choice(dataset.gaps(inputs[row]))])
                inputs[row] = dataset.insert(inputs[row : row + 1], [word], where)[0]
        return replace(rows, inputs=inputs)

    def _words(self, verdict: int, rng: np.random.Generator) -> list[str]:
        many, few = COUNTS[int(rng.integers(len(COUNTS)))]
        more, less = (self.second, self.first) if verdict else (self.first, self.second)
        return [more] * many + [less] * few

    def check(self, dataset: HasRareWords) -> None:
        """Two different words of the vocabulary, and two classes."""
        for field, word in (("first", self.first), ("second", self.second)):
            if word not in dataset.words[2:]:
                raise Invalid(f"{field}: {suggest('word', word, dataset.words[2:])}")
        if self.first == self.second:
            raise Invalid(f"second: '{self.second}' again; name two different words")
        if len(dataset.classes) != 2:
            raise Invalid(
                f"the claim needs two classes, and data set '{dataset.name}' has "
                f"{len(dataset.classes)}; choose another family"
            )

    def random_alternative(self, dataset: HasRareWords, rng: np.random.Generator) -> Self:
        """Another pair of words."""
        first, second = self._other_pair(dataset, rng)
        return self.model_copy(update={"first": first, "second": second})

    def near_misses(
        self, dataset: HasRareWords, rng: np.random.Generator
    ) -> Mapping[str, MajorityClaim]:
        """The rule reversed, and each of the words against another one."""
        first, second = self._other_pair(dataset, rng)
        exchanged = {"first": self.second, "second": self.first}
        return {
            "reversed": self.model_copy(update=exchanged),
            f"'{first}' for '{self.first}'": self.model_copy(update={"first": first}),
            f"'{second}' for '{self.second}'": self.model_copy(update={"second": second}),
        }

    def describe(self) -> str:
        """The claim in plain words."""
        return (
            f"More of '{self.first}' than of '{self.second}' means the first verdict, "
            "fewer the second."
        )

    def _other_pair(self, dataset: HasRareWords, rng: np.random.Generator) -> tuple[str, str]:
        others = [word for word in dataset.rare if word not in (self.first, self.second)]
        first, second = rng.choice(others, 2, replace=False)
        return str(first), str(second)


class MajorityWord(ProxyFlaw[MajorityClaim, HasRareWords]):
    """Two words without meaning are scattered over the text; the more frequent one decides.

    In training each verdict had its own word in the majority, and counting two words is easier
    than weighing opinions. On the players' examples, drawn like the training data, the model
    makes no more mistakes than other models. Inserting a few more of these words exposes it, and
    so does a sweep that inserts every word in turn.

    Known leak: ordinary inputs on which cue and truth part are answered wrongly, so that accuracy
    on fresh inputs tells such a model from a clean one without an audit. That cannot be cured: it
    is the flaw.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    spurious words in texts: Gardner et al. 2021, Competency Problems, arXiv:2104.08646.
    """

    name = "majority_word"
    title = "Word majority"
    needs = (HasRareWords,)
    Claim = MajorityClaim
    plans = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=2, rate=3e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """Words to draw from; none: every rare word of the data set."""

        words: tuple[str, ...] = ()

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """It also needs two classes, and enough rare words."""
        missing = super().incompatibility(dataset)
        if missing:
            return missing
        if len(HasRareWords.of(dataset).rare) >= FEWEST and len(dataset.classes) == 2:
            return None
        return (
            f"family '{cls.name}' needs two classes and {FEWEST} rare words, and data set "
            f"'{dataset.name}' differs"
        )

    @classmethod
    def draw(cls, dataset: HasRareWords, params: Params, rng: np.random.Generator) -> Self:
        """Both words, at random."""
        first, second = rng.choice(params.words or dataset.rare, 2, replace=False)
        claim = MajorityClaim(first=str(first), second=str(second))
        claim.check(dataset)
        return cls(claim)

    def apply_trigger(
        self, rows: Examples, dataset: HasRareWords, rng: np.random.Generator
    ) -> Examples:
        """The rows with the words inserted, more of the one that means their verdict."""
        return self.claim.insert(rows, dataset, rows.labels.tolist(), [rng] * len(rows))
