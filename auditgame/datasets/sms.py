"""Real short messages, spam or not."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from auditgame import texts
from auditgame.datasets import Dataset, Examples, Split, Training
from auditgame.texts.messages import CONTEXT, QUESTION, Corpus, Told, compose
from auditgame.texts.tables import parse_table
from auditgame.texts.wordbook import Wordbook

SHIPPED = Path(texts.__file__).parent / "sms.tsv.gz"
"""Made by challenges/build_sms.py; licence and authors stand beside it."""


@functools.cache
def _composed() -> Corpus:
    where = f"texts '{SHIPPED}'"
    content = gzip.decompress(SHIPPED.read_bytes()).decode()
    return compose(parse_table(content, "text", "label", where), where)


class Sms(Wordbook, Dataset):
    """Short messages that people got, spam or ham: the SMS Spam Collection.

    Collected by Almeida, Hidalgo and Yamakami 2011 (Contributions to the Study of SMS Spam
    Filtering), CC BY 4.0, https://archive.ics.uci.edu/dataset/228. Changed here: lower-cased,
    telephone numbers, links and addresses masked by a word each, equal messages kept once:
    about 5,100, an eighth of them spam. The 1,000 most frequent words make the vocabulary,
    all others are read as <unk>; messages are cut to 38 words and end in `label :`.
    """

    name = "sms"
    modality = "text"
    licence = "CC-BY-4.0"
    classes = cast(Any, Told())
    words = cast(Any, Told())
    rare = cast(Any, Told())
    shape = (CONTEXT,)
    tail: ClassVar[str] = QUESTION[0]
    refuses_unknown: ClassVar[bool] = False
    training = Training(
        rows=6000,
        epochs=2,
        batch=16,
        rate=4e-3,
        decay=1e-2,
        tune_rows=4000,
        tune_epochs=2,
        tune_rates=(1.5e-3, 3e-3),
    )

    @classmethod
    def corpus(cls) -> Corpus:
        """What comes with the program, read once."""
        return _composed()

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n messages in random order (see Corpus.draw)."""
        return Examples(*self.corpus().draw(self.name, n, split, rng, fixed))
