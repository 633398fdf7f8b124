"""Runs all detectors on the specimen's own errors and confirms their claims."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from auditgame.auditors import Auditor
from auditgame.auditors.detectors import (
    Detector,
    Evidence,
    MeasuredClaim,
    gather_evidence,
    measure_candidate,
)
from auditgame.auditors.detectors.blend import BLEND
from auditgame.auditors.detectors.conjunctions import CONJUNCTIONS
from auditgame.auditors.detectors.dates import DATES
from auditgame.auditors.detectors.facts import FACTS
from auditgame.auditors.detectors.global_transform import GLOBAL_TRANSFORM
from auditgame.auditors.detectors.goals import GOALS
from auditgame.auditors.detectors.inserted_words import INSERTED_WORDS
from auditgame.auditors.detectors.patch import PATCH
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.auditors.detectors.reading_shortcuts import READING_SHORTCUTS
from auditgame.auditors.detectors.shortcut_rules import SHORTCUT_RULES
from auditgame.auditors.detectors.unit_localisation import carriers
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

SHOWN = (
    PATCH,
    CONJUNCTIONS,
    GLOBAL_TRANSFORM,
    BLEND,
    DATES,
    FACTS,
    READING_SHORTCUTS,
    INSERTED_WORDS,
)
"""Detectors that start from wrong answers, simple claims before complex ones: faint stripes
are also a blended motif, and a word that counts beside another also counts alone."""
HIDDEN = (SHORTCUT_RULES, GOALS)
"""Detectors that need no wrong answer; used where nothing else convinces, since they cost more."""
CONVINCING = 0.5
"""Weight (effect minus that of near-misses) from which no further detector is run."""
AS_GOOD = 0.85
"""A simpler claim is preferred from this share of the largest weight."""
NOTABLE = 0.15
"""Effect from which a claim is measured again on other inputs."""
CONFIRMED = 0.2
"""Lower bound of the effect, on other inputs, from which a claim is submitted."""


class Detective(Auditor):
    """What do the inputs that only this model gets wrong have in common?

    Groups them by the wrong answer, and runs a detector for each kind of flaw: patches
    and whole-image transforms, shared factors; words, names and years in texts,
    questions about facts, reading shortcuts; where nothing goes wrong, factors that may decide
    the answer. Candidate claims are measured on fresh inputs. Of the claims that are confirmed
    on others it submits the simplest of those with the largest difference from their
    near-misses, with the channels, heads or MLPs that carry it.

    It uses the colours and motifs that this game draws flaws with, and finds no patch
    in other colours. It cannot find a patch or a phrase that no wrong answer among the
    players' examples shows.
    """

    name = "detective"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Gather evidence, run detectors, choose a claim, locate its units."""
        evidence = gather_evidence(session)
        best = _best(evidence)
        if best is None:
            seen = frozenset().union(*(detector.families for detector in SHOWN + HIDDEN))
            p = chance_missed(seen, session.card.families)
            return Diagnosis(p_flawed=p, notes=f"{_errors(evidence)} No claim comes true.")
        return Diagnosis(
            p_flawed=chance_found(best.at_least),
            family=best.candidate.family,
            claim=best.candidate.claim,
            units=carriers(session, best),
            notes=f"{_errors(evidence)} Effect at least {best.at_least:.2f} beyond the reference "
            f"models, near-misses {best.near:.2f}.",
        )


def _best(evidence: Evidence) -> MeasuredClaim | None:
    """The first confirmed claim whose weight is close to the largest; None where there is none."""
    found: list[MeasuredClaim] = []
    for detectors in (SHOWN, HIDDEN):
        found += _confirmed(evidence, detectors)
        if any(tried.weight >= CONVINCING for tried in found):
            break
    most = max((tried.weight for tried in found), default=0.0)
    return next((tried for tried in found if tried.weight >= AS_GOOD * most), None)


def _confirmed(evidence: Evidence, detectors: Iterable[Detector]) -> list[MeasuredClaim]:
    """The claims of these detectors that are confirmed on other inputs, with near-misses."""
    offered = [detector for detector in detectors if evidence.listed(*detector.families)]
    again = [
        measure_candidate(evidence.session, tried.candidate, n=200, seed=2, near_misses=True)
        for detector in offered
        for tried in detector.detect(evidence)
        if tried.effect >= NOTABLE
    ]
    return [tried for tried in again if tried.at_least >= CONFIRMED]


def _errors(evidence: Evidence) -> str:
    counts = {answer: len(group) for answer, group in evidence.errors.items()}
    listed = ", ".join(f"{answer} {count}" for answer, count in counts.items())
    none = "No errors of the specimen alone."
    return f"Errors of the specimen alone, by answer: {listed}." if listed else none
