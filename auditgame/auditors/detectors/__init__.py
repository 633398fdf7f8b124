"""From the images a model gets wrong to claims that were tried: one file per kind of flaw.

A lead looks at the clues, which costs nothing, and tries what comes to mind with the
desk's own tools, which costs queries.
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
    """A claim worth a try."""

    family: str
    claim: dict[str, Any]


class MeasuredClaim(NamedTuple):
    """A claim, its effect beyond the reference models, the least it may be, and the near-misses' share.

    moved: the units that it moves most, site by site.
    """

    suspect: CandidateClaim
    effect: float
    at_least: float
    near: float
    moved: tuple[str, ...]

    @property
    def weight(self) -> float:
        """How much speaks for it: a true claim comes true, and what is nearly it does not."""
        return self.at_least - self.near


@dataclass(frozen=True)
class Evidence:
    """What lies open: the desk, and where the specimen errs and no reference model does.

    turned: the class that is said -> numbers of the players' examples, the largest group first.
    """

    session: AuditSession
    turned: dict[str, tuple[int, ...]]

    @property
    def pool(self) -> Examples:
        """The players' examples."""
        return self.session.context.examples

    @property
    def ordinary(self) -> list[int]:
        """Numbers of the examples that are no such error."""
        strange = {row for group in self.turned.values() for row in group}
        return [row for row in range(len(self.pool)) if row not in strange]

    def parted(self, said: str) -> tuple[Float[Tensor, "m 3 h w"], Float[Tensor, "n 3 h w"]]:
        """The images that are wrongly called this, and the ordinary ones."""
        return self.pool.inputs[list(self.turned[said])], self.pool.inputs[self.ordinary]

    def groups(self) -> list[str]:
        """The classes that are wrongly said more than once: a single time is chance."""
        return [said for said, group in self.turned.items() if len(group) > 1]

    def listed(self, *families: str) -> list[str]:
        """Which of these families does the challenge offer?"""
        return [name for name in families if name in self.session.card.families]


class Detector(NamedTuple):
    """A way to follow: the families it can find, and what it tried, the best of each family."""

    families: frozenset[str]
    follow: Callable[[Evidence], Iterable[MeasuredClaim]]


def gather_evidence(session: AuditSession) -> Evidence:
    """The players' examples that the specimen alone gets wrong, by what it says."""
    exhibits = session.run_tool("compare").exhibits
    groups: dict[str, list[int]] = {}
    alone = rows(exhibits, "disagreements") if find_all(exhibits, "disagreements") else []
    for row in alone:
        if row["specimen"] != row["label"] and row["label"] in row["reference_models"]:
            groups.setdefault(row["specimen"], []).append(row["example"])
    largest = sorted(groups, key=lambda said: -len(groups[said]))
    return Evidence(session, {said: tuple(groups[said]) for said in largest})


def measure_candidate(
    session: AuditSession,
    suspect: CandidateClaim,
    n: int = 60,
    seed: int = 1,
    near_misses: bool = False,
) -> MeasuredClaim:
    """Enact a claim on n fresh inputs, with the hypothesis tool."""
    exhibits = session.run_tool(
        "hypothesis",
        family=suspect.family,
        claim=suspect.claim,
        n=n,
        seed=seed,
        near_misses=near_misses,
    ).exhibits
    found = rows(exhibits, "effect")[0]
    near = [row["share"] for row in rows(exhibits, "near_misses")] if near_misses else [0.0]
    moved = tuple(row["unit"] for row in rows(exhibits, "units"))
    return MeasuredClaim(
        suspect, found["effect"], found["effect_low"], sum(near) / len(near), moved
    )


def best(tried: Iterable[MeasuredClaim]) -> Iterator[MeasuredClaim]:
    """The one with the largest effect, if there is any."""
    found = max(tried, key=lambda one: one.effect, default=None)
    if found is not None:
        yield found
