"""Which bad reading habit has it? Every choice is tried, where a habit has few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations, product
from typing import TYPE_CHECKING, get_args

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.datasets import TextDataset
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.flaws.triggers.trigger_words import rare_words

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

CHOSEN = ("last_sentence", "negation_blind")
"""Habits whose claim is a few choices, all of which can be tried."""
TRIED, FINER = 150, 300
"""Inputs for a claim among some, and for one edge among many."""
AS_GOOD = 0.85
"""A wide claim is as good as a narrow one from this share of its effect on."""
COMMON, STREWN = 0.2, 4
"""A word that says nothing is strewn about if so many texts hold it; so many such are tried."""


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each habit that is offered."""
    for family in clues.listed(*CHOSEN):
        yield from widest([measure_candidate(clues.session, one, TRIED) for one in choices(family)])
    if clues.listed("majority_word"):
        yield from best(measure_candidate(clues.session, one, TRIED) for one in pairs(clues))
    if clues.listed("length"):
        yield from best(edges(clues.session))


def choices(family: str) -> Iterator[CandidateClaim]:
    """Every claim of a family whose fields are all `Literal`; wide choices stand last in them."""
    fields = claim_type(family).model_fields
    for one in product(*(get_args(field.annotation)[::-1] for field in fields.values())):
        yield CandidateClaim(family, dict(zip(fields, one, strict=True)))


def widest(tried: list[MeasuredClaim]) -> Iterator[MeasuredClaim]:
    """The first that is as good as any: what holds of much holds of its parts as well."""
    most = max(one.effect for one in tried)
    yield next(one for one in tried if one.effect >= min(AS_GOOD * most, most))


def pairs(clues: Evidence) -> Iterator[CandidateClaim]:
    """Every pair of the words that say nothing and yet stand in many of the texts."""
    dataset, pool = TextDataset.of(clues.session.dataset), clues.pool
    held = Counter(word for row in pool.inputs for word in set(dataset.decode(row).split()))
    common = [word for word, count in held.most_common() if count >= COMMON * len(pool)]
    for first, second in permutations([w for w in common if w in rare_words(dataset)][:STREWN], 2):
        yield CandidateClaim("majority_word", {"first": first, "second": second})


def edges(session: AuditSession) -> Iterator[MeasuredClaim]:
    """Long texts of either verdict; then, for the better one, every edge."""
    schema = claim_type("length").model_json_schema()["properties"]["words"]
    span = range(schema["minimum"], schema["maximum"] + 1)
    middle = span[len(span) // 2]
    claims = [{"target": name, "words": middle} for name in session.dataset.classes]
    sides = [measure_candidate(session, CandidateClaim("length", claim), TRIED) for claim in claims]
    target = max(sides, key=lambda one: one.effect).suspect.claim["target"]
    for words in span:
        yield measure_candidate(
            session, CandidateClaim("length", {"target": target, "words": words}), FINER
        )


HABITS = Detector(frozenset({*CHOSEN, "majority_word", "length"}), follow)
