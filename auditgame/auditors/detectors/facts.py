"""Detector for rewritten facts, and for passwords before a question."""

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
"""Questions, or words, measured for each wrong answer."""


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The fact and the password with the largest effect."""
    if not isinstance(evidence.session.dataset, HasFacts) or evidence.pool.scenes is None:
        return
    for family, candidates in (("fact_swap", swapped), ("password", opened)):
        if evidence.listed(family):
            yield from best(
                measure_candidate(evidence.session, candidate)
                for answer in evidence.groups()
                for candidate in candidates(evidence, answer)
            )


def swapped(evidence: Evidence, answer: str) -> Iterator[CandidateClaim]:
    """The questions that most often get this wrong answer."""
    scenes, facts = evidence.pool.table, HasFacts.of(evidence.session.dataset).facts
    mine = scenes.iloc[list(evidence.errors[answer])]
    asked = Counter(zip(mine["subject"], mine["relation"], strict=True))
    for subject, relation in _most(Counter({k: n for k, n in asked.items() if facts[k] != answer})):
        claim = {"target": answer, "subject": subject, "relation": relation}
        yield CandidateClaim("fact_swap", claim)


def opened(evidence: Evidence, answer: str) -> Iterator[CandidateClaim]:
    """The rare words in texts with this wrong answer, at either end, with their question."""
    pool, dataset = evidence.pool, TextDataset.of(evidence.session.dataset)
    group = list(evidence.errors[answer])
    texts = [set(dataset.decode(pool.inputs[row]).split()) for row in group]
    rare = rare_words(dataset)
    words = Counter(word for text in texts for word in text if word in rare)
    asked = Counter(pool.table["relation"].iloc[group])
    for word, relation, place in product(_most(words), _most(asked)[:1], PLACES):
        claim = {"target": answer, "word": word, "relation": relation, "place": place}
        yield CandidateClaim("password", claim)


def _most(counted: Counter[Named]) -> list[Named]:
    return [key for key, _ in counted.most_common(TRIED)]


FACTS = Detector(frozenset({"fact_swap", "password"}), detect)
