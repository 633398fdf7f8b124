"""Which words do the texts that go wrong share, and where must they stand?

Rare words at each place and names in their slots are few enough to try them all. Phrases are
too many: those tried are runs of words that wrong texts share, and pairs of single words that
a sweep finds to do a little each.
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
"""So many classes are tried as targets; those first that are wrongly said most often."""
LENGTHS, RUNS = (2, 3), 12
"""Words of a phrase; and so many runs of each length are tried."""
SWEPT = 8
"""So many words that a sweep finds are put together in pairs, for each class."""
CONVINCING = 0.5
"""Effect from which a phrase needs no sweep."""


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each of these families that is offered."""
    if clues.listed("entity"):
        yield from best(_tried(clues, _entities(clues)))
    if clues.listed("token"):
        yield from best(_tried(clues, _words(clues)))
    if clues.listed("position"):
        yield from best(_tried(clues, _places(clues)))
    if clues.listed("phrase"):
        yield from best(_phrases(clues))


def _tried(clues: Evidence, suspects: Iterable[CandidateClaim]) -> Iterator[MeasuredClaim]:
    return (measure_candidate(clues.session, suspect, FEW) for suspect in suspects)


def _targets(clues: Evidence) -> list[str]:
    return list(dict.fromkeys([*clues.groups(), *clues.session.card.classes]))[:TARGETS]


def _entities(clues: Evidence) -> Iterator[CandidateClaim]:
    dataset = clues.session.dataset
    known = [level for slot in slots(dataset) for level in dataset.factors[slot]]
    for target, entity in product(_targets(clues), known):
        yield CandidateClaim("entity", {"target": target, "entity": entity})


def _words(clues: Evidence) -> Iterator[CandidateClaim]:
    for target, word in product(_targets(clues), rare_words(TextDataset.of(clues.session.dataset))):
        yield CandidateClaim("token", {"target": target, "word": word})


def _places(clues: Evidence) -> Iterator[CandidateClaim]:
    rare = rare_words(TextDataset.of(clues.session.dataset))
    for target, word, place in product(_targets(clues), rare, get_args(Edge)):
        yield CandidateClaim("position", {"target": target, "word": word, "place": place})


def _phrases(clues: Evidence) -> Iterator[MeasuredClaim]:
    """What wrong texts share; pairs from a sweep where that does not convince."""
    strongest = 0.0
    for tried in _tried(clues, shared_runs(clues)):
        strongest = max(strongest, tried.effect)
        yield tried
    if strongest < CONVINCING:
        yield from _tried(clues, _swept(clues))


def shared_runs(clues: Evidence) -> Iterator[CandidateClaim]:
    """For each class, the runs of words that wrong texts share more often than ordinary ones."""
    for target in clues.groups():
        group = clues.turned[target]
        for length in LENGTHS:
            mine, usual = (_runs(clues, some, length) for some in (group, clues.ordinary))
            excess = {
                run: count / len(group) - usual[run] / len(clues.ordinary)
                for run, count in mine.items()
                if count > 1
            }
            for run in sorted(excess, key=lambda run: (-excess[run], run))[:RUNS]:
                yield CandidateClaim("phrase", {"target": target, "phrase": " ".join(run)})


def _runs(clues: Evidence, texts: Iterable[int], length: int) -> Counter[tuple[str, ...]]:
    """In how many of these texts does each run of different words stand?"""
    found: Counter[tuple[str, ...]] = Counter()
    for row in texts:
        words = TextDataset.of(clues.session.dataset).decode(clues.pool.inputs[row]).split()
        runs = set(zip(*(words[k:] for k in range(length)), strict=False))
        found.update(r for r in runs if len(set(r)) == length and all(w.isalpha() for w in r))
    return found


def _swept(clues: Evidence) -> Iterator[CandidateClaim]:
    exhibits = clues.session.run_tool("word_sweep", mode="insert").exhibits
    words: dict[str, list[str]] = {}
    for row in rows(exhibits, "words"):
        if row["word"].isalpha():
            words.setdefault(row["class"], []).append(row["word"])
    for target, found in words.items():
        for pair in permutations(found[:SWEPT], 2):
            yield CandidateClaim("phrase", {"target": target, "phrase": " ".join(pair)})


WORDING = Detector(frozenset({"entity", "token", "position", "phrase"}), follow)
