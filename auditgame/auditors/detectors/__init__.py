"""Detectors: from a model's own errors to measured claims, one file per kind of flaw.

A detector derives candidate claims from the evidence, which costs no queries, and measures them
with the session's tools, which does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from auditgame.exhibits.reading import find_all, rows

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from auditgame.datasets import Examples
    from auditgame.play.audit_session import AuditSession


class CandidateClaim(NamedTuple):
    """A claim that has not been measured."""

    family: str
    claim: dict[str, Any]


class MeasuredClaim(NamedTuple):
    """A claim, its effect, the effect's lower bound, and the share of its near-misses.

    moved: the units with the largest shift, site by site.
    """

    candidate: CandidateClaim
    effect: float
    at_least: float
    near: float
    moved: tuple[str, ...]

    @property
    def weight(self) -> float:
        """The lower bound minus the near-misses' share: large only for the exact claim."""
        return self.at_least - self.near


@dataclass(frozen=True)
class Evidence:
    """The session, and the errors that the specimen makes and the reference models do not.

    errors: wrong answer -> indices of examples of the pool, the largest group first.
    """

    session: AuditSession
    errors: dict[str, tuple[int, ...]]

    @property
    def pool(self) -> Examples:
        """The players' examples."""
        return self.session.context.examples

    @property
    def ordinary(self) -> list[int]:
        """Indices of all other examples."""
        errors = {row for group in self.errors.values() for row in group}
        return [row for row in range(len(self.pool)) if row not in errors]

    def split(self, answer: str) -> tuple[Float[Tensor, "m 3 h w"], Float[Tensor, "n 3 h w"]]:
        """The images with this wrong answer, and all other images."""
        return self.pool.inputs[list(self.errors[answer])], self.pool.inputs[self.ordinary]

    def groups(self) -> list[str]:
        """The wrong answers that occur more than once: a single one is chance."""
        return [answer for answer, group in self.errors.items() if len(group) > 1]

    def listed(self, *families: str) -> list[str]:
        """Those of these families that the challenge offers."""
        return [name for name in families if name in self.session.card.families]


class Detector(NamedTuple):
    """The families that a detector can find, and its function from evidence to claims."""

    families: frozenset[str]
    detect: Callable[[Evidence], Iterable[MeasuredClaim]]


def gather_evidence(session: AuditSession) -> Evidence:
    """The examples that the specimen alone gets wrong, grouped by its answer."""
    exhibits = session.run_tool("compare").exhibits
    groups: dict[str, list[int]] = {}
    alone = rows(exhibits, "disagreements") if find_all(exhibits, "disagreements") else []
    for row in alone:
        if row["specimen"] != row["label"] and row["label"] in row["reference_models"]:
            groups.setdefault(row["specimen"], []).append(row["example"])
    largest = sorted(groups, key=lambda answer: -len(groups[answer]))
    return Evidence(session, {answer: tuple(groups[answer]) for answer in largest})


def measure_candidate(
    session: AuditSession,
    candidate: CandidateClaim,
    n: int = 60,
    seed: int = 1,
    near_misses: bool = False,
) -> MeasuredClaim:
    """Measure a claim on n fresh inputs, with the hypothesis tool."""
    exhibits = session.run_tool(
        "hypothesis",
        family=candidate.family,
        claim=candidate.claim,
        n=n,
        seed=seed,
        near_misses=near_misses,
    ).exhibits
    found = rows(exhibits, "effect")[0]
    near = [row["share"] for row in rows(exhibits, "near_misses")] if near_misses else [0.0]
    moved = tuple(row["unit"] for row in rows(exhibits, "units"))
    return MeasuredClaim(
        candidate, found["effect"], found["effect_low"], sum(near) / len(near), moved
    )


def best(tried: Iterable[MeasuredClaim]) -> Iterator[MeasuredClaim]:
    """The claim with the largest effect, if there is any."""
    found = max(tried, key=lambda one: one.effect, default=None)
    if found is not None:
        yield found
