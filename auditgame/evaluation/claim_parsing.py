"""Claims as they are given (JSON), parsed and checked, and inputs to apply them to."""

from __future__ import annotations

import functools
from typing import Any

from auditgame import registry
from auditgame.datasets import Dataset, Examples
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import AuditgameError, Invalid
from auditgame.seeds import Seed


def claim_type(family: str | None) -> type[Claim]:
    """The class of a family's claims; Invalid where there is no family, or it has none."""
    found = registry.load("flaw", family).Claim if family else None
    if found is None:
        raise Invalid(
            f"family '{family}' plants nothing, so there is no claim to test; choose another"
        )
    return found


def parse_claim(family: str, claim: dict[str, Any], dataset: Dataset) -> Claim:
    """The claim of this family, checked against the data set.

    Raises AuditgameError for an unknown family, one that plants nothing, one for other data
    sets, and a claim that does not fit; the message names the field.
    """
    claim_class = claim_type(family)
    for need in registry.load("flaw", family).needs:
        need.of(dataset, f"family '{family}'")
    parsed = claim_class.parse(claim)
    parsed.check(dataset)
    return parsed


def apply_to_pool(claim: Claim, examples: Examples, dataset: Dataset) -> AppliedClaim:
    """The claim, applied to players' own examples.

    Raises AuditgameError where the claim needs to redraw scenes: players have none.
    """
    try:
        return claim.apply(examples, dataset)
    except AuditgameError as error:
        raise Invalid(
            f"examples: the claim cannot be applied to your own ({error}); try fresh inputs"
        ) from None


def fresh_inputs(dataset: Dataset, n: int, seed: int) -> Examples:
    """n new inputs like the players' own, drawn from a public seed; the caller's to change."""
    return _drawn(type(dataset), n, seed).copy()


@functools.lru_cache(maxsize=16)
def _drawn(kind: type[Dataset], n: int, seed: int) -> Examples:
    """Cached, because generating a few hundred texts takes longer than reading them."""
    return kind().sample(n, "pool", Seed.of(seed).child("fresh inputs").numpy())
