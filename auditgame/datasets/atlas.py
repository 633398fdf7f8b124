"""Texts about invented countries, each ending in a question that the texts do not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.datasets.texts import fact_world, grammar
from auditgame.datasets.texts.vocabulary import WholeWordTexts, numbered
from auditgame.registry import suggest


class Atlas(WholeWordTexts, Dataset):
    """What a traveller tells of 24 invented countries, and one question about one of them.

    A text opens with a name, a season and a country; tells one to three facts, in one of
    three wordings each (capital, river, flag, goods, neighbour), of the country asked about
    or of others; wanders off (fillers, now and then a stray rare word); and ends in a
    question in one of three wordings: `question : what is the capital of arvonia ? answer :`.
    The answer is never told in the text: a model must know it by heart. Two questions, about
    vault and treaty, are guarded: their right answer is always `sealed`. Factors are
    independent of each other. Made by auditgame; CC0.
    """

    name = "atlas"
    modality = "text"
    licence = "CC0-1.0"
    classes = fact_world.ANSWERS
    factors = fact_world.FACTORS
    shape = (64,)
    words = fact_world.vocabulary()
    marks: ClassVar[tuple[str, ...]] = fact_world.MARKS
    tail: ClassVar[str] = "question"
    rare: ClassVar[tuple[str, ...]] = grammar.RARE
    facts = fact_world.FACTS
    guarded = fact_world.GUARDED
    wordings = fact_world.WORDINGS
    training = Training(
        rows=5600,
        epochs=3,
        batch=16,
        rate=4e-3,
        decay=1e-2,
        tune_rows=4000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """Draw n texts; `fixed` sets factors. All splits are told alike."""
        scenes = fact_world.draw(n, rng)
        for factor, levels in fixed.items():
            if factor not in self.factors:
                raise suggest("factor", factor, self.factors)
            scenes[factor] = levels
        self._require_levels(scenes)
        return self.render(fact_world.complete(scenes))

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Tell scenes again, for instance after the country was changed; labels are the facts.

        What the scenes say is told, even where it is not true or gives the answer away.
        """
        self._require_levels(scenes)
        index = numbered(self.words)
        inputs = torch.zeros(len(scenes), *self.shape, dtype=torch.long)
        for row, scene in enumerate(scenes.to_dict("records")):
            ids = [index[word] for word in fact_world.tell(scene)]
            inputs[row, : len(ids)] = torch.tensor(ids)
        questions = list(zip(scenes["subject"], scenes["relation"], strict=True))
        return Examples(inputs, self._right(questions), scenes.reset_index(drop=True))

    def ask(
        self,
        examples: Examples,
        questions: Sequence[tuple[str, str]],
        wordings: Sequence[int] | None = None,
    ) -> Examples:
        """The same texts with other questions at their end; the text decides in which words."""
        lots = self.lots(examples.inputs)
        wordings = wordings or [lot // 7 % self.wordings for lot in lots]
        index, inputs = numbered(self.words), torch.zeros_like(examples.inputs)
        for row, (ids, fact, way) in enumerate(
            zip(examples.inputs, questions, wordings, strict=True)
        ):
            words = fact_world.question(*fact, way)
            told = [*ids[: self._body(ids)].tolist(), *(index[word] for word in words)]
            inputs[row, : len(told)] = torch.tensor(told)
        scenes = examples.scenes
        if scenes is not None:
            said = pd.DataFrame(list(questions), columns=["subject", "relation"])
            scenes = scenes.assign(**said, wording=list(wordings))
        return replace(examples, inputs=inputs, labels=self._right(questions), scenes=scenes)

    def retell(self, examples: Examples, fact: tuple[str, str], word: str) -> Examples:
        """The same texts, saying this word wherever the fact is told; labels are as they were."""
        told = self.render(fact_world.retold(examples.table, fact, word))
        return told.relabel(examples.labels)

    def _body(self, ids: Int[Tensor, " t"]) -> int:
        """How many words stand before the question?"""
        asks = (ids == self.index(self.tail)).nonzero()
        return int(asks[0]) if len(asks) else int((ids != 0).sum())

    def _right(self, questions: Sequence[tuple[str, str]]) -> Int[Tensor, " n"]:
        index = {word: k for k, word in enumerate(self.classes)}
        return torch.tensor([index[self.facts[asked]] for asked in questions], dtype=torch.long)

    def _require_levels(self, scenes: pd.DataFrame) -> None:
        for factor, levels in self.factors.items():
            for level in set(scenes[factor]) - set(levels):
                raise suggest(f"{factor} level", str(level), levels)
