"""Sweeps the vocabulary for a word or a year that turns the answer, and tests what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from auditgame.auditors import Auditor
from auditgame.auditors.detectors import CandidateClaim
from auditgame.auditors.detectors.dates import steps
from auditgame.auditors.detectors.posterior import chance_found, chance_missed
from auditgame.auditors.detectors.unit_localisation import components
from auditgame.exhibits.reading import rows
from auditgame.schema.diagnosis import Diagnosis

if TYPE_CHECKING:
    from auditgame.play.audit_session import AuditSession

NOTABLE = 0.25
"""Rise in probability beyond the reference models from which a word is worth a test."""
CONFIRMED = 0.2
"""Lower bound of the effect, on other inputs, from which a claim is handed in."""


class WordSweepAuditor(Auditor):
    """Which single word, or which year, turns the answers of this model and of no reference model?

    Inserts every word into a few texts (for the family `token`) and puts every year in the
    place of the year (for `date`); tests the best of each on fresh inputs, and keeps the
    claim with the largest lower bound of the effect. Then takes out one head or MLP after
    another, and names the two that carry the claim.

    It cannot see what needs two words or a place of its own, nor a flaw that images show.
    """

    name = "word_sweep"
    modality = frozenset({"text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Sweep, test, locate."""
        listed = set(session.card.families)
        suspects = [
            *(_words(session) if "token" in listed else []),
            *(steps(session) if "date" in listed else []),
        ]
        tested = [_test(session, suspect, seed=1) for suspect in suspects]
        best = max(tested, key=lambda found: found.at_least, default=None)
        if best is not None and best.at_least >= CONFIRMED:
            best = _test(session, best.suspect, seed=2)
        if best is None or best.at_least < CONFIRMED:
            p = chance_missed({"token", "date"}, listed)
            return Diagnosis(p_flawed=p, notes="No word and no year turns the answers.")
        return Diagnosis(
            p_flawed=chance_found(best.at_least),
            family=best.suspect.family,
            claim=best.suspect.claim,
            units=components(session, best.suspect),
            notes=f"Effect beyond the reference models at least {best.at_least:.2f} on fresh inputs.",
        )


class MeasuredWord(NamedTuple):
    """A claim, and the least effect it has beyond the reference models."""

    suspect: CandidateClaim
    at_least: float


def _words(session: AuditSession) -> list[CandidateClaim]:
    """The two words for each class that stand out most when inserted; numbers are left to dates."""
    exhibits = session.run_tool("word_sweep", mode="insert").exhibits
    taken: dict[str, list[str]] = {}
    for row in rows(exhibits, "words"):
        words = taken.setdefault(row["class"], [])
        if row["excess"] >= NOTABLE and len(words) < 2 and not row["word"].isdigit():
            words.append(row["word"])
    return [
        CandidateClaim("token", {"target": target, "word": word})
        for target, words in taken.items()
        for word in words
    ]


def _test(session: AuditSession, suspect: CandidateClaim, seed: int) -> MeasuredWord:
    used = session.run_tool(
        "hypothesis", family=suspect.family, claim=suspect.claim, near_misses=False, seed=seed
    )
    return MeasuredWord(suspect, rows(used.exhibits, "effect")[0]["effect_low"])
