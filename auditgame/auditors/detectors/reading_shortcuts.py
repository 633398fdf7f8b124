"""Detector for reading shortcuts: last sentence, negation, majority word, length."""

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
"""Families with few possible claims, all of which are measured."""
TRIED, FINER = 150, 300
"""Inputs for a claim, and for each threshold of length."""
AS_GOOD = 0.85
"""A wider claim is preferred from this share of the largest effect."""
COMMON, NEUTRAL = 0.2, 4
"""Least share of texts that hold a neutral word, and number of such words measured."""


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each offered family."""
    for family in evidence.listed(*CHOSEN):
        yield from widest(
            [measure_candidate(evidence.session, one, TRIED) for one in choices(family)]
        )
    if evidence.listed("majority_word"):
        yield from best(measure_candidate(evidence.session, one, TRIED) for one in pairs(evidence))
    if evidence.listed("length"):
        yield from best(thresholds(evidence.session))


def choices(family: str) -> Iterator[CandidateClaim]:
    """Every claim of a family whose fields are all `Literal`, the widest first."""
    fields = claim_type(family).model_fields
    for one in product(*(get_args(field.annotation)[::-1] for field in fields.values())):
        yield CandidateClaim(family, dict(zip(fields, one, strict=True)))


def widest(tried: list[MeasuredClaim]) -> Iterator[MeasuredClaim]:
    """The first claim with nearly the largest effect: a wide claim includes narrower ones."""
    most = max(one.effect for one in tried)
    yield next(one for one in tried if one.effect >= min(AS_GOOD * most, most))


def pairs(evidence: Evidence) -> Iterator[CandidateClaim]:
    """Every pair of the neutral words that occur in many texts."""
    dataset, pool = TextDataset.of(evidence.session.dataset), evidence.pool
    held = Counter(word for row in pool.inputs for word in set(dataset.decode(row).split()))
    common = [word for word, count in held.most_common() if count >= COMMON * len(pool)]
    for first, second in permutations([w for w in common if w in rare_words(dataset)][:NEUTRAL], 2):
        yield CandidateClaim("majority_word", {"first": first, "second": second})


def thresholds(session: AuditSession) -> Iterator[MeasuredClaim]:
    """Both classes at a middle length; then, for the better one, every threshold."""
    schema = claim_type("length").model_json_schema()["properties"]["words"]
    span = range(schema["minimum"], schema["maximum"] + 1)
    middle = span[len(span) // 2]
    claims = [{"target": name, "words": middle} for name in session.dataset.classes]
    sides = [measure_candidate(session, CandidateClaim("length", claim), TRIED) for claim in claims]
    target = max(sides, key=lambda one: one.effect).candidate.claim["target"]
    for words in span:
        yield measure_candidate(
            session, CandidateClaim("length", {"target": target, "words": words}), FINER
        )


READING_SHORTCUTS = Detector(frozenset({*CHOSEN, "majority_word", "length"}), detect)
