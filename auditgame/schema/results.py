"""What judging and measuring yield: scores, certificates, receipts and reveals."""

from __future__ import annotations

from typing import Literal

from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import Finite, Record


class Component(Record):
    """One part of a score, and why it is what it is."""

    name: str
    points: Finite
    possible: Finite
    words: str


class Score(Record):
    """How good was a diagnosis? Explains itself part by part."""

    points: Finite
    possible: Finite
    components: tuple[Component, ...]


class Check(Record):
    """One measured fact against its bound; `low` and `high` are a 95 % interval."""

    name: str
    value: float
    bound: float
    rule: Literal["at least", "at most"]
    words: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        """Does the value keep its bound?"""
        return self.value >= self.bound if self.rule == "at least" else self.value <= self.bound


class Certificate(Record):
    """Is the flaw really there, and nothing else? Every check, and how many tries it took."""

    checks: tuple[Check, ...]
    tries: int = 1
    faint: bool = False

    @property
    def passed(self) -> bool:
        """Did every check pass?"""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Which checks did not pass?"""
        return tuple(check for check in self.checks if not check.passed)


class Receipt(Record):
    """What came of a hand-in: what was said, the attempt it was, the score, what is left."""

    id: int
    player: str
    challenge: str
    attempt: int
    attempts_left: int
    counts: bool
    said: Diagnosis
    score: Score


class Reveal(Record):
    """What was really in the model: the opened key, beside the player's last diagnosis."""

    challenge: str
    family: str
    truth: Diagnosis
    confession: str
    certificate: Certificate
    commitment: str
    commitment_holds: bool
    receipts: tuple[Receipt, ...] = ()
