"""The user's own texts, from a CSV or TSV file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np

from auditgame import paths
from auditgame.datasets import Examples, HasRareWords, Split, Training
from auditgame.datasets.texts.messages import (
    CONTEXT,
    QUESTION,
    ROOM,
    Corpus,
    CorpusAttribute,
    compose,
)
from auditgame.datasets.texts.text_files import read_table
from auditgame.datasets.texts.vocabulary import WholeWordTexts
from auditgame.schema.errors import Invalid


@functools.lru_cache(maxsize=2)
def _composed(path: Path, columns: str, changed: int) -> Corpus:
    names = [name.strip() for name in columns.split(",")]
    if len(names) != 2 or not all(names):
        raise Invalid(
            f"data set 'text_csv': AUDITGAME_TEXT_COLUMNS is '{columns}'; set it to two column "
            "names, that of the texts and that of the labels, such as 'message,category'"
        )
    return compose(read_table(path, *names), f"texts '{path}'")


class TextCsv(WholeWordTexts, HasRareWords):
    """Your own labelled texts, in a CSV or TSV file that AUDITGAME_TEXTS names.

    The first row names the columns; texts are read from `text` and labels from `label`, or from
    the columns that AUDITGAME_TEXT_COLUMNS names (`message,category`). A label is one word. The
    file's 1,000 most frequent words are the vocabulary, all others are read as <unk>; texts are
    cut to 38 words and end in `label :`. Each class's distinct texts are divided in fixed
    shares: 70 % train, 20 % held, 10 % pool; it needs 10 at least. A flaw is certified only on
    500 held-out texts of classes other than its target. No factors.
    """

    name = "text_csv"
    title = "Your own texts"
    licence = "as the owner of the texts states"
    classes = cast(Any, CorpusAttribute())
    words = cast(Any, CorpusAttribute())
    rare = cast(Any, CorpusAttribute())
    shape = (CONTEXT,)
    room = ROOM
    question_start = QUESTION[0]
    refuses_unknown = False
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
        """The corpus of the file; AuditgameError where none is named, or it cannot be used."""
        path = paths.texts()
        if path is None:
            raise Invalid(
                "data set 'text_csv': AUDITGAME_TEXTS is not set; set it to a CSV or TSV file "
                "with the columns 'text' and 'label'"
            )
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        return _composed(path, paths.text_columns(), changed)

    def sample(self, n: int, split: Split, rng: np.random.Generator, **fixed: object) -> Examples:
        """n texts in random order (see Corpus.draw)."""
        return Examples(*self.corpus().draw(self.name, n, split, rng, fixed))
