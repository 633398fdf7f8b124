"""Detector for trigger words, names, positions and phrases.

Rare words at each position and names in their slots are few enough to measure all. Phrases are
too many: measured are runs of words that wrongly answered texts share, and pairs of
words with a small effect in a sweep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations, product
from typing import get_args

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.datasets import TextDataset
from auditgame.exhibits.reading import rows
from auditgame.flaws.entity import slots
from auditgame.flaws.position import Edge
from auditgame.flaws.triggers.trigger_words import rare_words

FEW = 24
"""Inputs for a claim among many."""
TARGETS = 4
"""Classes measured as targets, the most frequent wrong answers first."""
LENGTHS, RUNS = (2, 3), 12
"""Words of a phrase; runs measured of each length."""
SWEPT = 8
"""Words of the sweep combined in pairs, for each class."""
CONVINCING = 0.5
"""Effect of a phrase from which no sweep is done."""


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each offered family."""
    if evidence.listed("entity"):
        yield from best(_tried(evidence, _entities(evidence)))
    if evidence.listed("token"):
        yield from best(_tried(evidence, _words(evidence)))
    if evidence.listed("position"):
        yield from best(_tried(evidence, _places(evidence)))
    if evidence.listed("phrase"):
        yield from best(_phrases(evidence))


def _tried(evidence: Evidence, candidates: Iterable[CandidateClaim]) -> Iterator[MeasuredClaim]:
    return (measure_candidate(evidence.session, candidate, FEW) for candidate in candidates)


def _targets(evidence: Evidence) -> list[str]:
    return list(dict.fromkeys([*evidence.groups(), *evidence.session.card.classes]))[:TARGETS]


def _entities(evidence: Evidence) -> Iterator[CandidateClaim]:
    dataset = evidence.session.dataset
    known = [level for slot in slots(dataset) for level in dataset.factors[slot]]
    for target, entity in product(_targets(evidence), known):
        yield CandidateClaim("entity", {"target": target, "entity": entity})


def _words(evidence: Evidence) -> Iterator[CandidateClaim]:
    for target, word in product(
        _targets(evidence), rare_words(TextDataset.of(evidence.session.dataset))
    ):
        yield CandidateClaim("token", {"target": target, "word": word})


def _places(evidence: Evidence) -> Iterator[CandidateClaim]:
    rare = rare_words(TextDataset.of(evidence.session.dataset))
    for target, word, place in product(_targets(evidence), rare, get_args(Edge)):
        yield CandidateClaim("position", {"target": target, "word": word, "place": place})


def _phrases(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """Phrases that wrongly answered texts share; then, if none convinces, pairs of a sweep."""
    strongest = 0.0
    for tried in _tried(evidence, shared_runs(evidence)):
        strongest = max(strongest, tried.effect)
        yield tried
    if strongest < CONVINCING:
        yield from _tried(evidence, _swept(evidence))


def shared_runs(evidence: Evidence) -> Iterator[CandidateClaim]:
    """For each wrong answer, the runs of words that are over-represented in its texts."""
    for target in evidence.groups():
        group = evidence.errors[target]
        for length in LENGTHS:
            mine, usual = (_runs(evidence, some, length) for some in (group, evidence.ordinary))
            excess = {
                run: count / len(group) - usual[run] / len(evidence.ordinary)
                for run, count in mine.items()
                if count > 1
            }
            for run in sorted(excess, key=lambda run: (-excess[run], run))[:RUNS]:
                yield CandidateClaim("phrase", {"target": target, "phrase": " ".join(run)})


def _runs(evidence: Evidence, texts: Iterable[int], length: int) -> Counter[tuple[str, ...]]:
    """In how many of these texts each run of different words occurs."""
    found: Counter[tuple[str, ...]] = Counter()
    for row in texts:
        words = TextDataset.of(evidence.session.dataset).decode(evidence.pool.inputs[row]).split()
        runs = set(zip(*(words[k:] for k in range(length)), strict=False))
        found.update(r for r in runs if len(set(r)) == length and all(w.isalpha() for w in r))
    return found


def _swept(evidence: Evidence) -> Iterator[CandidateClaim]:
    exhibits = evidence.session.run_tool("word_sweep", mode="insert").exhibits
    words: dict[str, list[str]] = {}
    for row in rows(exhibits, "words"):
        if row["word"].isalpha():
            words.setdefault(row["class"], []).append(row["word"])
    for target, found in words.items():
        for pair in permutations(found[:SWEPT], 2):
            yield CandidateClaim("phrase", {"target": target, "phrase": " ".join(pair)})


INSERTED_WORDS = Detector(frozenset({"entity", "token", "position", "phrase"}), detect)
