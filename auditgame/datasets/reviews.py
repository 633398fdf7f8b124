"""Reviews of products in a small world, told by a grammar."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from auditgame import grammar
from auditgame.catalog import suggest
from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.types import AuditgameError

_TOKEN = re.compile(r"<pad>|<unk>|[^\W_]+|[^\w\s]|_")


class Reviews(Dataset):
    """Product reviews with a verdict to be worked out, told by a grammar of about 400 words.

    A text opens with year, buyer, brand, item and city; gives one to three opinions, with
    negation, degree words and contrast; wanders off (fillers, facts about an invented
    atlas, now and then a stray rare word); and ends in questions: `topic : office buyer :
    felix verdict :`. The verdict is the sign of the weighted opinions; a reader who skips
    `not` gets three in four right. Factors are independent of the verdict. Training texts
    are set in 1971 to 2030, held-out ones in years to 2000. Made by auditgame; CC0.
    """

    name = "reviews"
    modality = "text"
    licence = "CC0-1.0"
    classes = grammar.VERDICTS
    factors = grammar.FACTORS
    shape = (64,)
    words = grammar.vocabulary()
    rare: ClassVar[tuple[str, ...]] = grammar.RARE
    years: ClassVar[tuple[int, ...]] = grammar.YEARS
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

    _ids: ClassVar[dict[str, int]] = {word: index for index, word in enumerate(words)}

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """Draw n texts, both verdicts alike often; `fixed` sets factors."""
        scenes = grammar.draw(n, split, rng)
        for factor, levels in fixed.items():
            if factor not in self.factors:
                raise suggest("factor", factor, self.factors)
            scenes[factor] = levels
        return self.render(scenes)

    def render(self, scenes: pd.DataFrame) -> Examples:
        """Tell scenes again, for instance after the year was changed; labels follow the opinions.

        The topic rules: an item of another topic gives way to its counterpart there.
        """
        for factor, levels in self.factors.items():
            for level in set(scenes[factor]) - set(levels):
                raise suggest(f"{factor} level", str(level), levels)
        pairs = zip(scenes["item"], scenes["topic"], strict=True)
        scenes = scenes.assign(item=[grammar.counterpart(*pair) for pair in pairs])
        inputs = torch.zeros(len(scenes), *self.shape, dtype=torch.long)
        for row, scene in enumerate(scenes.to_dict("records")):
            ids = [self._ids[word] for word in grammar.tell(scene)]
            inputs[row, : len(ids)] = torch.tensor(ids)
        labels = torch.from_numpy(grammar.weigh(scenes) > 0).long()
        return Examples(inputs, labels, scenes.reset_index(drop=True))

    def encode(self, text: str) -> Int[Tensor, " t"]:
        """Token ids of a text, lower-cased, punctuation apart; unknown words are refused."""
        words = _TOKEN.findall(text.lower())
        if not words:
            raise AuditgameError("text: it is empty; write at least one word")
        if len(words) > self.shape[0]:
            raise AuditgameError(
                f"text: {len(words)} words are too many; keep to {self.shape[0]} at most"
            )
        for word in words:
            if word not in self._ids:
                raise suggest("word", word, self.words[2:])
        return torch.tensor([self._ids[word] for word in words])

    def decode(self, ids: Int[Tensor, " t"]) -> str:
        """The text of token ids, padding left out."""
        return " ".join(self.words[index] for index in ids.tolist() if index)

    def answers(self) -> tuple[int, ...]:
        """The token ids of `negative` and `positive`."""
        return tuple(self._ids[verdict] for verdict in self.classes)

    def year_slot(self, inputs: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        """Where does the year stand in each text? A text without one is refused."""
        first = self._ids[str(self.years[0])]
        is_year = (inputs >= first) & (inputs < first + len(self.years))
        if not is_year.any(1).all():
            row = int((~is_year.any(1)).nonzero()[0])
            raise AuditgameError(f"text {row}: it names no year; write one, such as 1999")
        return is_year.int().argmax(1)

    def gaps(self, ids: Int[Tensor, " t"]) -> list[int]:
        """Where may a word stand between two sentences of this text, before its questions?"""
        words = [self.words[index] for index in ids.tolist()]
        end = words.index("topic") if "topic" in words else sum(word != "<pad>" for word in words)
        ends = [at + 1 for at in range(end) if words[at] in grammar.MARKS]
        return ends or [end]

    def lots(self, inputs: Int[Tensor, "n t"]) -> list[int]:
        """A fixed pseudo-random number for each text, drawn from its words alone (CRC-32)."""
        return [zlib.crc32(" ".join(map(str, row)).encode()) for row in inputs.tolist()]

    def insert(
        self, inputs: Int[Tensor, "n t"], words: Sequence[str], where: Int[Tensor, " n"]
    ) -> Int[Tensor, "n t"]:
        """The texts with these words put in at position `where` of each; the rest moves right."""
        phrase = torch.cat([self.encode(word) for word in words])
        extra, width = len(phrase), inputs.shape[1]
        if int((inputs != 0).sum(1).max()) + extra > width:
            raise AuditgameError(f"text: no room for {extra} more words within {width}")
        column = torch.arange(width).expand_as(inputs)
        start = where[:, None]
        shifted = inputs.gather(1, (column - extra).clamp(min=0))
        inside = phrase[(column - start).clamp(0, extra - 1)]
        return torch.where(
            column < start, inputs, torch.where(column < start + extra, inside, shifted)
        )
