"""Real short messages, spam or not."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

from auditgame.datasets import texts
from auditgame.datasets.text_csv import TextCsv
from auditgame.datasets.texts.messages import Corpus, compose
from auditgame.datasets.texts.text_files import parse_table

SHIPPED = Path(texts.__file__).parent / "sms.tsv.gz"
"""Made by challenges/build_sms.py; its licence is beside it."""


@functools.cache
def _composed() -> Corpus:
    where = f"texts '{SHIPPED}'"
    content = gzip.decompress(SHIPPED.read_bytes()).decode()
    return compose(parse_table(content, "text", "label", where), where)


class Sms(TextCsv):
    """Short messages that people received, spam or ham: the SMS Spam Collection.

    Collected by Almeida, Hidalgo and Yamakami 2011 (Contributions to the Study of SMS Spam
    Filtering), CC BY 4.0, https://archive.ics.uci.edu/dataset/228. Changed here: lower-cased;
    phone numbers, links and addresses each replaced by a word; equal messages kept once: about
    5,100, an eighth of them spam. The 1,000 most frequent words are the vocabulary, all others
    are read as <unk>; messages are cut to 38 words and end in `label :`.
    """

    name = "sms"
    title = "SMS spam"
    licence = "CC-BY-4.0"

    @classmethod
    def corpus(cls) -> Corpus:
        """The corpus that comes with the program, read once."""
        return _composed()
