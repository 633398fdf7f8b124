"""Parsing a claim from JSON, and getting inputs to test it on."""

from __future__ import annotations

import functools
from typing import Any

from auditgame import registry
from auditgame.datasets import Dataset, Examples
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed


def parse_claim(family: str, claim: dict[str, Any], dataset: Dataset) -> Claim:
    """The claim of this family, checked against the data set.

    Raises AuditgameError for an unknown family, one that plants nothing, one for other data
    sets, and a claim that does not fit; the message names the field.
    """
    flaw = registry.load("flaw", family)
    if flaw.Claim is None:
        raise AuditgameError(
            f"family '{family}' plants nothing, so there is no claim to test; choose another"
        )
    for need in flaw.needs:
        need.of(dataset, f"family '{family}'")
    parsed = flaw.Claim.parse(claim)
    parsed.check(dataset)
    return parsed


def apply_to_pool(claim: Claim, examples: Examples, dataset: Dataset) -> AppliedClaim:
    """The claim, applied to players' own examples.

    Raises AuditgameError where it redraws scenes, which players are not given.
    """
    try:
        return claim.apply(examples, dataset)
    except AuditgameError as error:
        raise AuditgameError(
            f"examples: the claim cannot be applied to your own ({error}); try fresh inputs"
        ) from None


def fresh_inputs(dataset: Dataset, n: int, seed: int) -> Examples:
    """n new inputs like the players' own, drawn from a public seed; the caller's to change."""
    return _drawn(type(dataset), n, seed).copy()


@functools.lru_cache(maxsize=16)
def _drawn(kind: type[Dataset], n: int, seed: int) -> Examples:
    """Cached, because writing a few hundred texts takes longer than classifying them."""
    return kind().sample(n, "pool", Seed.of(seed).child("fresh inputs").numpy())
