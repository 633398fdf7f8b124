"""Results of judging and measuring: scores, certificates, receipts and reveals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import Finite, Record


class Component(Record):
    """One part of a score, with its reason in words."""

    name: str
    points: Finite
    possible: Finite
    words: str


class Score(Record):
    """The score of a diagnosis, part by part."""

    points: Finite
    possible: Finite
    components: tuple[Component, ...]


class Chance(Record):
    """What random claims of a family achieve, drawn as the family draws its flaws.

    functional: mean of the functional share F. close: mean of F times closeness to the key.
    """

    functional: Annotated[float, Field(ge=0, le=1)]
    close: Annotated[float, Field(ge=0, le=1)]

    @property
    def means(self) -> tuple[float, float]:
        """Both numbers."""
        return self.functional, self.close


class Check(Record):
    """One measured number against its bound. low, high: the 95 % interval of a rate."""

    name: str
    value: float
    bound: float
    rule: Literal["at least", "at most"]
    words: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        """Is the value on the right side of its bound?"""
        return self.value >= self.bound if self.rule == "at least" else self.value <= self.bound


class Certificate(Record):
    """The checks that prove a flaw, and the number of tries that planting took.

    faint: kept because sealed keys hold it; no plan sets it.
    """

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
    """What a submission gives back: the diagnosis, its score, and the attempts left.

    counts: is it the attempt that counts on the leaderboard (the first)?
    """

    id: int
    player: str
    challenge: str
    attempt: int
    attempts_left: int
    counts: bool
    diagnosis: Diagnosis
    score: Score


class Reveal(Record):
    """The answer of a challenge: the opened key, and the player's receipts."""

    challenge: str
    family: str
    truth: Diagnosis
    confession: str
    certificate: Certificate
    commitment: str
    commitment_holds: bool
    receipts: tuple[Receipt, ...] = ()
