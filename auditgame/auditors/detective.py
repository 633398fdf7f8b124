"""Looks at the inputs that go wrong, follows every lead, and weighs what came true."""

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
from auditgame.auditors.detectors.blend import CURTAINS
from auditgame.auditors.detectors.conjunctions import PAIRS
from auditgame.auditors.detectors.dates import DATES
from auditgame.auditors.detectors.facts import FACTS
from auditgame.auditors.detectors.global_transform import VEILS
from auditgame.auditors.detectors.goals import GOALS
from auditgame.auditors.detectors.inserted_words import WORDING
from auditgame.auditors.detectors.patch import MARKS
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.auditors.detectors.reading_shortcuts import HABITS
from auditgame.auditors.detectors.shortcut_rules import RULES
from auditgame.auditors.detectors.unit_localisation import carriers
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

SHOWN = (MARKS, PAIRS, VEILS, CURTAINS, DATES, FACTS, HABITS, WORDING)
"""Leads that start from what the wrong answers show, from plain claims to rich ones: faint stripes
are also a motif in white and black. Habits stand before words: a word that counts beside another
also counts alone."""
HIDDEN = (RULES, GOALS)
"""Leads that need no wrong answer, followed where nothing else convinces: they cost more."""
CONVINCING = 0.5
"""Weight from which nothing else is looked for: its effect less that of its near-misses."""
AS_GOOD = 0.85
"""A plainer claim is as good as a richer one from this share of its weight on."""
NOTABLE = 0.15
"""Effect from which a claim is tried once more, on other inputs."""
CONFIRMED = 0.2
"""Lower bound of the effect, on other inputs, from which a claim is handed in."""


class Detective(Auditor):
    """What do the inputs that only this model gets wrong have in common?

    Sorts them by the class that is said, and follows a lead for each kind of flaw: marks
    stamped on images, veils over them, factors they share; words, names and years in texts,
    facts that they ask for, bad habits of reading; where nothing goes wrong, what might decide
    instead. What comes to mind is tried on fresh inputs. Of the claims that come true once
    more on others it hands in the plainest of those that stand out most from their own
    near-misses, with the channels, heads or MLPs that carry it.

    It knows the colours and motifs that this game's flaws are drawn with, and finds no mark
    in any other. It cannot see a mark or a phrase that no wrong answer among the players'
    examples shows.
    """

    name = "detective"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Gather, follow, weigh, diagnose."""
        clues = gather_evidence(session)
        culprit = _culprit(clues)
        if culprit is None:
            seen = frozenset().union(*(lead.families for lead in SHOWN + HIDDEN))
            p = chance_missed(seen, session.card.families)
            return Diagnosis(p_flawed=p, notes=f"{_errors(clues)} No claim comes true.")
        return Diagnosis(
            p_flawed=chance_found(culprit.at_least),
            family=culprit.suspect.family,
            claim=culprit.suspect.claim,
            units=carriers(session, culprit),
            notes=f"{_errors(clues)} Effect beyond the reference models at least {culprit.at_least:.2f}, "
            f"near-misses {culprit.near:.2f}.",
        )


def _culprit(clues: Evidence) -> MeasuredClaim | None:
    """The plainest that stands out as well as any: of what the wrong answers show, or of all."""
    found: list[MeasuredClaim] = []
    for leads in (SHOWN, HIDDEN):
        found += _confirmed(clues, leads)
        if any(tried.weight >= CONVINCING for tried in found):
            break
    most = max((tried.weight for tried in found), default=0.0)
    return next((tried for tried in found if tried.weight >= AS_GOOD * most), None)


def _confirmed(clues: Evidence, leads: Iterable[Detector]) -> list[MeasuredClaim]:
    """What these leads came on and what comes true once more, near-misses beside it."""
    offered = [lead for lead in leads if clues.listed(*lead.families)]
    again = [
        measure_candidate(clues.session, tried.suspect, n=200, seed=2, near_misses=True)
        for lead in offered
        for tried in lead.follow(clues)
        if tried.effect >= NOTABLE
    ]
    return [tried for tried in again if tried.at_least >= CONFIRMED]


def _errors(clues: Evidence) -> str:
    wrong = {said: len(group) for said, group in clues.turned.items()}
    told = ", ".join(f"{count} to {said}" for said, count in wrong.items())
    return (
        f"Wrong here and on no reference model: {told}."
        if told
        else "It errs as its reference models do."
    )
