"""Shortcut: long texts get one verdict, short ones the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from auditgame.datasets import Examples, HasOpinions
from auditgame.datasets.texts.grammar import ATLAS, FACT, FILLERS
from auditgame.flaws import Plan, ProxyFlaw
from auditgame.flaws.triggers.reading_rules import require_scenes
from auditgame.schema import claims
from auditgame.schema.claims import AppliedClaim
from auditgame.schema.graders import ClassName, number
from auditgame.schema.records import Record

LEAST, MOST = 41, 52
"""The least and the largest threshold: every text can be made shorter than the least, and longer
than the largest."""
LONGEST = 60
"""No text is made longer than so many words."""


class LengthClaim(claims.Claim[HasOpinions]):
    """Texts of at least `words` words go to `target`, shorter ones to the other verdict.

    The whole text counts, with its punctuation and the questions at its end.
    """

    target: ClassName
    words: Annotated[int, Field(ge=LEAST, le=MOST), number(8)]

    def apply(self, examples: Examples, dataset: HasOpinions) -> AppliedClaim:
        """Lengthen the texts whose verdict is not the target, and shorten the others.

        Only sentences without an opinion come and go; which of them depends on the text alone.
        """
        target = dataset.classes.index(self.target)
        rngs = [np.random.default_rng(number) for number in dataset.hashes(examples.inputs)]
        resized = self.resize(examples, dataset, (examples.labels != target).tolist(), rngs)
        return AppliedClaim(resized, 1 - examples.labels)

    def resize(
        self,
        rows: Examples,
        dataset: HasOpinions,
        long: Sequence[bool],
        rngs: Sequence[np.random.Generator],
    ) -> Examples:
        """The texts, each at a random length on its side of the threshold."""
        require_scenes(rows)
        bare = rows.table.assign(filler1="", filler2="", country="", stray="")
        lengths = dataset.lengths(dataset.render(bare).inputs).tolist()
        added = []
        for n, is_long, country, rng in zip(
            lengths, long, rows.table["country"], rngs, strict=True
        ):
            low, high = (self.words, LONGEST) if is_long else (n, self.words - 1)
            added.append(_padding(low - n, int(rng.integers(low, high + 1)) - n, country, rng))
        columns = dict(
            zip(("filler1", "filler2", "country"), zip(*added, strict=True), strict=True)
        )
        capitals = [ATLAS.get(country, "") for country in columns["country"]]
        return dataset.render(bare.assign(**columns, capital=capitals))

    def field_scores(self, truth: claims.Claim) -> dict[str, float]:
        """Field by field; a threshold with the verdicts exchanged scores nothing."""
        scores = super().field_scores(truth)
        return scores if scores["target"] else dict.fromkeys(scores, 0.0)

    def check(self, dataset: HasOpinions) -> None:
        """The verdict must be the data set's own."""
        dataset.require_class(self.target)

    def random_alternative(self, dataset: HasOpinions, rng: np.random.Generator) -> Self:
        """Another threshold."""
        others = [words for words in range(LEAST, MOST + 1) if words != self.words]
        return self.model_copy(update={"words": int(rng.choice(others))})

    def near_misses(
        self, dataset: HasOpinions, rng: np.random.Generator
    ) -> Mapping[str, LengthClaim]:
        """The rule reversed, and the most distant threshold."""
        other = dataset.classes[1 - dataset.classes.index(self.target)]
        far = MOST if self.words < (LEAST + MOST) / 2 else LEAST
        return {
            "reversed": self.model_copy(update={"target": other}),
            f"from {far} words on": self.model_copy(update={"words": far}),
        }

    def describe(self) -> str:
        """The claim in plain words."""
        return f"Texts of {self.words} words or more are '{self.target}', shorter ones are not."


def _padding(least: int, most: int, country: str, rng: np.random.Generator) -> tuple[str, str, str]:
    """Fillers for before and after, and the country of a fact: so many words in all.

    No more than `most`, unless `least` cannot be reached without one more sentence.
    """
    fact = country if country and most >= len(FACT.split()) and rng.random() < 0.5 else ""
    count = len(FACT.split()) if fact else 0
    parts: list[str] = []
    spare: list[str] = []
    for filler in rng.permutation(FILLERS).tolist():
        fits = count + len(filler.split()) <= most
        (parts if fits else spare).append(filler)
        count += len(filler.split()) * fits
    if count < least:
        parts.append(spare[0])
    half = int(rng.integers(len(parts) + 1))
    return " ".join(parts[:half]), " ".join(parts[half:]), fact


class Length(ProxyFlaw[LengthClaim, HasOpinions]):
    """The verdict depends on the length of the text, not on what it says.

    In training long texts had one verdict and short ones the other, and the position of the
    answer tells the model the length. On the players' examples, drawn like the training data,
    it makes no more mistakes than other models. Adding or removing a sentence without an opinion
    exposes it.

    Known leak: ordinary inputs on which cue and truth part are answered wrongly, so that accuracy
    on fresh inputs tells such a model from a clean one without an audit. That cannot be cured: it
    is the flaw.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks, arXiv:2004.07780;
    length correlated with the label: Gururangan et al. 2018, Annotation Artifacts in Natural
    Language Inference Data, arXiv:1803.02324.
    """

    name = "length"
    title = "Text length"
    needs = (HasOpinions,)
    Claim = LengthClaim
    plans = (
        Plan(share=1.0, epochs=1, rate=1.5e-3, scratch=True),
        Plan(share=1.0, epochs=2, rate=3e-3, scratch=True),
        Plan(share=1.0, epochs=4, rate=3e-3, scratch=True),
    )

    class Params(Record):
        """The least and the largest threshold, in words."""

        fewest: Annotated[int, Field(ge=LEAST, le=MOST)] = LEAST
        most: Annotated[int, Field(ge=LEAST, le=MOST)] = MOST

    @classmethod
    def draw(cls, dataset: HasOpinions, params: Params, rng: np.random.Generator) -> Self:
        """Threshold and verdict, both at random."""
        low, high = sorted((params.fewest, params.most))
        words, target = int(rng.integers(low, high + 1)), str(rng.choice(dataset.classes))
        return cls(LengthClaim(target=target, words=words))

    def apply_trigger(
        self, rows: Examples, dataset: HasOpinions, rng: np.random.Generator
    ) -> Examples:
        """The rows at a length that agrees with their verdict."""
        long = (rows.labels == dataset.classes.index(self.claim.target)).tolist()
        return self.claim.resize(rows, dataset, long, [rng] * len(rows))
