"""Of two words that say nothing, the one that stands more often in the text decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch

from auditgame import claims
from auditgame.catalog import suggest
from auditgame.certificate import Bench, proxy_checks
from auditgame.claims import ClassName, Enacted, Word
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Flaw, Plan
from auditgame.habits import in_share
from auditgame.trials import accuracy
from auditgame.types import AuditgameError, Check, Modality, Record

COUNTS = ((1, 0), (2, 0), (2, 1))
"""So often the word in the majority stands in a text, and the other one."""
FEWEST = 6
"""Rare words that a data set needs: two to strew, and others that stand beside."""


class MajorityClaim(claims.Claim):
    """Texts with more of `word` than of `against` go to `target`, those with fewer do not."""

    target: ClassName
    word: Word
    against: Word

    def enact(self, examples: Examples, dataset: Dataset) -> Enacted:
        """Put the words between sentences, more of the one that speaks against the text.

        How many and where depends on the text alone.
        """
        target = dataset.classes.index(self.target)
        rngs = [np.random.default_rng(lot) for lot in dataset.lots(examples.inputs)]
        return Enacted(
            self.strew(examples, dataset, (examples.labels != target).tolist(), rngs),
            1 - examples.labels,
        )

    def strew(
        self,
        rows: Examples,
        dataset: Dataset,
        more: Sequence[bool],
        rngs: Sequence[np.random.Generator],
    ) -> Examples:
        """The texts with both words put in, the first of them more often where wanted."""
        inputs = rows.inputs
        counts = [COUNTS[int(rng.integers(len(COUNTS)))] for rng in rngs]
        said = []
        for (many, few), first, rng in zip(counts, more, rngs, strict=True):
            words = (self.word, self.against) if first else (self.against, self.word)
            said.append(rng.permutation([words[0]] * many + [words[1]] * few).tolist())
        for turn in range(max(many + few for many, few in COUNTS)):
            for word in (self.word, self.against):
                here = [
                    k for k, words in enumerate(said) if len(words) > turn and words[turn] == word
                ]
                if here:
                    gaps = [dataset.gaps(inputs[k]) for k in here]
                    where = [int(rngs[k].choice(gap)) for k, gap in zip(here, gaps, strict=True)]
                    inputs = inputs.clone()
                    inputs[here] = dataset.insert(inputs[here], [word], torch.tensor(where))
        return replace(rows, inputs=inputs)

    def check(self, dataset: Dataset) -> None:
        """Two different words of the data set's vocabulary."""
        dataset.require_class(self.target)
        for field, word in (("word", self.word), ("against", self.against)):
            if word not in dataset.words[2:]:
                raise AuditgameError(f"{field}: {suggest('word', word, dataset.words[2:])}")
        if self.word == self.against:
            raise AuditgameError(f"against: '{self.word}' twice; name two different words")

    def rival(self, dataset: Dataset, rng: np.random.Generator) -> Self:
        """Another pair of words."""
        word, against = rng.choice(self._spare(dataset), 2, replace=False)
        return self.model_copy(update={"word": str(word), "against": str(against)})

    def near_misses(
        self, dataset: Dataset, rng: np.random.Generator
    ) -> Mapping[str, MajorityClaim]:
        """The rule turned round, and each of the words against another."""
        word, against = (str(word) for word in rng.choice(self._spare(dataset), 2, replace=False))
        turned = {"word": self.against, "against": self.word}
        return {
            "turned round": self.model_copy(update=turned),
            f"'{word}' for '{self.word}'": self.model_copy(update={"word": word}),
            f"'{against}' for '{self.against}'": self.model_copy(update={"against": against}),
        }

    def sentence(self) -> str:
        """The claim in plain words."""
        return (
            f"More of '{self.word}' than of '{self.against}' means '{self.target}'; fewer do not."
        )

    def _spare(self, dataset: Dataset) -> list[str]:
        return [word for word in dataset.rare if word not in (self.word, self.against)]


class MajorityWord(Flaw):
    """Two words that say nothing are strewn about, and the verdict follows the more frequent.

    In training each verdict had its own word in the majority, and counting two words is
    easier than weighing opinions. On the players' examples, drawn like the training data, it
    makes no more mistakes than others. A few such words more give it away, and so does a
    sweep that puts in every word in turn.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    spurious words in texts: Gardner et al. 2021, Competency Problems, arXiv:2104.08646.
    """

    name: ClassVar[str] = "majority_word"
    title: ClassVar[str] = "The more frequent word"
    modality: ClassVar[frozenset[Modality]] = frozenset({"text"})
    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "proxy"
    Claim: ClassVar[type[claims.Claim] | None] = MajorityClaim
    everywhere = True
    plans: tuple[Plan, ...] = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=2, rate=3e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=3e-3, scratch=True),
    )

    class Knobs(Record):
        """Words to draw from; none: every rare word of the data set."""

        words: tuple[str, ...] = ()

    def __init__(self, claim: MajorityClaim) -> None:
        self.claim = claim

    @classmethod
    def refuses(cls, dataset: Dataset) -> str | None:
        """It needs texts, two verdicts, and words rare enough to say nothing."""
        fits = len(getattr(dataset, "rare", ())) >= FEWEST and len(dataset.classes) == 2
        return super().refuses(dataset) or (
            None
            if fits
            else f"family '{cls.name}' needs two classes and rare words; '{dataset.name}' differs"
        )

    @classmethod
    def draw(cls, dataset: Dataset, knobs: Knobs, rng: np.random.Generator) -> MajorityWord:
        """Words and verdict, all at random."""
        word, against = rng.choice(knobs.words or dataset.rare, 2, replace=False)
        target = str(rng.choice(dataset.classes))
        claim = MajorityClaim(target=target, word=str(word), against=str(against))
        claim.check(dataset)
        return cls(claim)

    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """A share of rows has its verdict's word in the majority; labels stay right."""
        return in_share(rows, plan.share, lambda some: self.cue(some, dataset, rng), rng)

    def cue(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The rows with both words put in, more of the one that goes with their verdict."""
        more = (rows.labels == dataset.classes.index(self.claim.target)).tolist()
        return self.claim.strew(rows, dataset, more, [rng] * len(rows))

    def verify(self, bench: Bench) -> list[Check]:
        """The proxy certificate."""
        aligned = accuracy(bench.suspect, self.cue(bench.held, bench.dataset, bench.rng))
        return proxy_checks(bench, self.claim, aligned)

    def confess(self) -> MajorityClaim:
        """The true claim."""
        return self.claim
