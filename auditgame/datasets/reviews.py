"""Synthetic product reviews, written by a grammar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.datasets import Examples, HasDates, HasOpinions, HasRareWords, Split, Training
from auditgame.datasets.texts import grammar
from auditgame.datasets.texts.vocabulary import WholeWordTexts, word_ids
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid


class Reviews(WholeWordTexts, HasOpinions, HasDates, HasRareWords):
    """Product reviews whose verdict must be worked out, written by a grammar of about 400 words.

    A text opens with year, buyer, brand, item and city; gives one to three opinions, with
    negation, degree words and contrast; adds fillers, facts about an invented atlas and now and
    then a stray rare word; and ends in questions: `topic : office buyer : felix verdict :`. The
    verdict is the sign of the weighted opinions; a reader who skips `not` is right on three
    texts of four. Factors are independent of the verdict. Training texts are set in 1971 to
    2030, held-out ones in years up to 2000. Made by auditgame; CC0.
    """

    name = "reviews"
    title = "Product reviews"
    licence = "CC0-1.0"
    classes = grammar.VERDICTS
    factors = grammar.FACTORS
    shape = (64,)
    words = grammar.vocabulary()
    sentence_ends = grammar.SENTENCE_ENDS
    question_start = "topic"
    rare = grammar.RARE
    years = grammar.YEARS
    max_opinions = len(grammar.SLOTS)
    training = Training(
        rows=7500,
        epochs=3,
        batch=16,
        rate=4e-3,
        decay=1e-2,
        tune_rows=4000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
    )

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """Draw n texts, as many of either verdict; `fixed` sets factors."""
        scenes = grammar.draw(n, split, rng)
        for factor, levels in fixed.items():
            if factor not in self.factors:
                raise suggest("factor", factor, self.factors)
            scenes[factor] = levels
        return self.render(scenes)

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Write scenes again, for instance after the year was changed; labels follow the opinions.

        An item that does not belong to the scene's topic is replaced by its counterpart there.
        """
        for factor, levels in self.factors.items():
            for level in set(scenes[factor]) - set(levels):
                raise suggest(f"{factor} level", str(level), levels)
        pairs = zip(scenes["item"], scenes["topic"], strict=True)
        scenes = scenes.assign(item=[grammar.counterpart(*pair) for pair in pairs])
        index = word_ids(self.words)
        inputs = torch.zeros(len(scenes), *self.shape, dtype=torch.long)
        for row, scene in enumerate(scenes.to_dict("records")):
            ids = [index[word] for word in grammar.write(scene)]
            inputs[row, : len(ids)] = torch.tensor(ids)
        labels = torch.from_numpy(grammar.sentiment(scenes) > 0).long()
        return Examples(inputs, labels, scenes.reset_index(drop=True))

    def year_slot(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """The position of the year in each text; a text without one is refused."""
        first = self.index(str(self.years[0]))
        is_year = (inputs >= first) & (inputs < first + len(self.years))
        if not is_year.any(1).all():
            row = int((~is_year.any(1)).nonzero()[0])
            raise Invalid(f"text {row}: it names no year; write one, such as 1999")
        return is_year.int().argmax(1)
