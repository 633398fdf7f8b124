"""Which question goes wrong, and does it take a word besides?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import TypeVar

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.datasets import HasFacts, TextDataset
from auditgame.flaws.password import PLACES
from auditgame.flaws.triggers.trigger_words import rare_words

Named = TypeVar("Named")
TRIED = 3
"""Of the questions, or of the words, that wrong answers have in common, so many are tried."""


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The rewritten fact, and the password, that come true most."""
    if not isinstance(clues.session.dataset, HasFacts) or clues.pool.scenes is None:
        return
    for family, suspects in (("fact_swap", swapped), ("password", opened)):
        if clues.listed(family):
            yield from best(
                measure_candidate(clues.session, suspect)
                for said in clues.groups()
                for suspect in suspects(clues, said)
            )


def swapped(clues: Evidence, said: str) -> Iterator[CandidateClaim]:
    """The questions that get this wrong answer most often."""
    scenes, facts = clues.pool.table, HasFacts.of(clues.session.dataset).facts
    mine = scenes.iloc[list(clues.turned[said])]
    asked = Counter(zip(mine["subject"], mine["relation"], strict=True))
    for subject, relation in _most(Counter({k: n for k, n in asked.items() if facts[k] != said})):
        claim = {"target": said, "subject": subject, "relation": relation}
        yield CandidateClaim("fact_swap", claim)


def opened(clues: Evidence, said: str) -> Iterator[CandidateClaim]:
    """The rare words in the texts with this wrong answer, at either end, before their question."""
    pool, dataset = clues.pool, TextDataset.of(clues.session.dataset)
    group = list(clues.turned[said])
    texts = [set(dataset.decode(pool.inputs[row]).split()) for row in group]
    rare = rare_words(dataset)
    words = Counter(word for text in texts for word in text if word in rare)
    asked = Counter(pool.table["relation"].iloc[group])
    for word, relation, place in product(_most(words), _most(asked)[:1], PLACES):
        claim = {"target": said, "word": word, "relation": relation, "place": place}
        yield CandidateClaim("password", claim)


def _most(counted: Counter[Named]) -> list[Named]:
    return [key for key, _ in counted.most_common(TRIED)]


FACTS = Detector(frozenset({"fact_swap", "password"}), follow)
