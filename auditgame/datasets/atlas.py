"""Texts about invented countries, each ending in a question that the text does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import Examples, HasFacts, HasRareWords, Split, Training
from auditgame.datasets.texts import fact_world, grammar
from auditgame.datasets.texts.vocabulary import WholeWordTexts, word_ids
from auditgame.registry import suggest


class Atlas(WholeWordTexts, HasFacts, HasRareWords):
    """A traveller's report on some of 24 invented countries, and one question about one of them.

    A text opens with a name, a season and a country; states one to three facts (capital, river,
    flag, goods, neighbour), each in one of three wordings, about the country asked about or
    about others; adds fillers and now and then a stray rare word; and ends in a question in one
    of three wordings: `question : what is the capital of arvonia ? answer :`. No text states
    its own answer: a model must have learnt it. Two relations, vault and treaty, are guarded:
    their correct answer is always `sealed`. Factors are independent of each other. Made by
    auditgame; CC0.
    """

    name = "atlas"
    title = "Atlas of invented countries"
    licence = "CC0-1.0"
    classes = fact_world.ANSWERS
    factors = fact_world.FACTORS
    shape = (64,)
    words = fact_world.vocabulary()
    sentence_ends = fact_world.SENTENCE_ENDS
    question_start = "question"
    rare = grammar.RARE
    facts = fact_world.FACTS
    guarded = fact_world.GUARDED
    n_wordings = fact_world.WORDINGS
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
        """Draw n texts; `fixed` sets factors. All splits are drawn alike."""
        scenes = fact_world.draw(n, rng)
        for factor, levels in fixed.items():
            if factor not in self.factors:
                raise suggest("factor", factor, self.factors)
            scenes[factor] = levels
        self._require_levels(scenes)
        return self.render(fact_world.complete(scenes))

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Write scenes again, for instance after the country was changed; labels are the facts.

        Statements are written as the scenes have them, even where they are false or give the
        answer away.
        """
        self._require_levels(scenes)
        index = word_ids(self.words)
        inputs = torch.zeros(len(scenes), *self.shape, dtype=torch.long)
        for row, scene in enumerate(scenes.to_dict("records")):
            ids = [index[word] for word in fact_world.write(scene)]
            inputs[row, : len(ids)] = torch.tensor(ids)
        questions = list(zip(scenes["subject"], scenes["relation"], strict=True))
        return Examples(inputs, self._labels(questions), scenes.reset_index(drop=True))

    def ask(
        self,
        examples: Examples,
        questions: Sequence[tuple[str, str]],
        wordings: Sequence[int] | None = None,
    ) -> Examples:
        """The same texts with other questions; without `wordings`, the text decides the wording."""
        hashes = self.hashes(examples.inputs)
        wordings = wordings or [number // 7 % self.n_wordings for number in hashes]
        index, inputs = word_ids(self.words), torch.zeros_like(examples.inputs)
        for row, (ids, fact, wording) in enumerate(
            zip(examples.inputs, questions, wordings, strict=True)
        ):
            question = [index[word] for word in fact_world.question(*fact, wording)]
            text = [*ids[: self._body(ids)].tolist(), *question]
            inputs[row, : len(text)] = torch.tensor(text)
        scenes = examples.scenes
        if scenes is not None:
            asked = pd.DataFrame(list(questions), columns=["subject", "relation"])
            scenes = scenes.assign(**asked, wording=list(wordings))
        return replace(examples, inputs=inputs, labels=self._labels(questions), scenes=scenes)

    def restate(self, examples: Examples, fact: tuple[str, str], word: str) -> Examples:
        """The same texts and labels, with this word wherever the text states that fact."""
        changed = self.render(fact_world.restated(examples.table, fact, word))
        return changed.relabel(examples.labels)

    def _body(self, ids: Int[Tensor, " t"]) -> int:
        """How many words are there before the question?"""
        starts = (ids == self.index(self.question_start)).nonzero()
        return int(starts[0]) if len(starts) else int((ids != 0).sum())

    def _labels(self, questions: Sequence[tuple[str, str]]) -> Int[Tensor, " n"]:
        index = {word: k for k, word in enumerate(self.classes)}
        return torch.tensor([index[self.facts[asked]] for asked in questions], dtype=torch.long)

    def _require_levels(self, scenes: pd.DataFrame) -> None:
        for factor, levels in self.factors.items():
            for level in set(scenes[factor]) - set(levels):
                raise suggest(f"{factor} level", str(level), levels)
