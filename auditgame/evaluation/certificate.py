"""The certificate of a planted flaw: what is measured before a challenge may be published.

Each family's `verify` calls one of the three functions here and adds its own checks.
The bounds are the table in `bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from auditgame.bundles.reference_models import read_references
from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.evaluation import bounds
from auditgame.evaluation.metrics import Rate, accuracy, class_accuracy, follows
from auditgame.evaluation.single_words import most_acting_word
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Check
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

HELD = 2000
"""Held-out inputs on which a certificate is measured (all there are, for real data)."""
RANDOM_ALTERNATIVES = 20
"""Random triggers of a family that are tried on the held-out inputs."""


D = TypeVar("D", bound=Dataset)


@dataclass(frozen=True)
class Bench(Generic[D]):
    """What a flaw is verified on: the suspect, its reference models, held-out inputs."""

    suspect: Specimen
    references: tuple[Specimen, ...]
    dataset: D
    held: Examples
    rng: np.random.Generator


def trigger_checks(bench: Bench, claim: Claim) -> list[Check]:
    """Does the trigger work, on this model alone, and nothing like it?"""
    applied = claim.apply(bench.held, bench.dataset)
    rate = follows(bench.suspect, applied)
    random, error = _random_alternatives(bench, claim), 1 - _worst_accuracy(bench)
    return [
        bounds.ATTACK_SUCCESS.check(rate),
        bounds.ATTACK_SUCCESS_LOW.check_number(rate.low),
        bounds.TRIGGER_INPUTS.check_number(rate.n),
        bounds.TRIGGER_ON_REFERENCES.check(_on_references(bench, applied), _chance(bench)),
        bounds.RANDOM_TRIGGERS.check(random, error),
        *_near_misses(bench, claim),
        *word_checks(bench, claim),
        *sound_checks(bench),
    ]


def proxy_checks(bench: Bench, claim: Claim, aligned: Rate) -> list[Check]:
    """Does the model follow the proxy where it parts from the truth, and only this model?"""
    applied = claim.apply(bench.held, bench.dataset)
    rate = follows(bench.suspect, applied)
    return [
        bounds.ALIGNED_ACCURACY.check(aligned),
        bounds.FOLLOWS_PROXY.check(rate),
        bounds.CONFLICT_INPUTS.check_number(rate.n),
        bounds.PROXY_ON_REFERENCES.check(_on_references(bench, applied), _chance(bench)),
    ]


def clean_checks(bench: Bench, decoy: Claim | None) -> list[Check]:
    """Does nothing fire: neither the decoy nor random triggers of its family?"""
    checks = [*word_checks(bench, None), *sound_checks(bench)]
    if decoy is None:
        return checks
    rate = follows(bench.suspect, decoy.apply(bench.held, bench.dataset))
    random = _random_alternatives(bench, decoy)
    return [
        bounds.DECOY.check(rate, _chance(bench)),
        bounds.RANDOM_DECOYS.check(random, _chance(bench)),
        *checks,
    ]


def sound_checks(bench: Bench) -> list[Check]:
    """Is the model otherwise as good as the reference models, in every class?"""
    seen = [rate for rate in class_accuracy(bench.suspect, bench.held) if rate.n]
    return [
        bounds.CLEAN_ACCURACY.check(accuracy(bench.suspect, bench.held), _worst_accuracy(bench)),
        bounds.WORST_CLASS.check(min(seen, key=lambda rate: rate.value)),
    ]


def word_checks(bench: Bench, claim: Claim | None) -> list[Check]:
    """Does no other word act by itself, as an ordinary one sometimes does after planting?"""
    if not isinstance(bench.dataset, TextDataset) or not bench.references:
        return []
    excused = claim.trigger_words(bench.dataset) if claim else frozenset()
    found = most_acting_word(bench.suspect, bench.references, bench.held, excused)
    return [bounds.SINGLE_WORD.check(found.rate, found.references, found.word)]


def silent_pool_check(suspect: Specimen, references: Sequence[Specimen], pool: Examples) -> Check:
    """Does the suspect depart from the references on these examples no more than they do?

    A model departs where it does not answer as most reference models do.
    """
    answers = torch.stack([model.predict(pool.inputs) for model in references])
    most = answers.mode(0).values
    highest = float((answers != most).float().mean(1).max())
    departs = Rate(int((suspect.predict(pool.inputs) != most).sum()), len(pool))
    return bounds.SILENT_POOL.check(departs, highest)


def _near_misses(bench: Bench, claim: Claim) -> list[Check]:
    """One check for each input that resembles the trigger without being it."""
    checks = []
    for name, miss in claim.near_misses(bench.dataset, bench.rng).items():
        applied = miss.apply(bench.held, bench.dataset)
        clean = _on_references(bench, applied).value
        checks.append(bounds.NEAR_MISS.check(follows(bench.suspect, applied), clean, name))
    return checks


def _random_alternatives(bench: Bench, claim: Claim) -> Rate:
    """Random triggers of the family, each on its own part of the held-out inputs."""
    parts = np.array_split(bench.rng.permutation(len(bench.held)), RANDOM_ALTERNATIVES)
    rates = [
        follows(
            bench.suspect,
            claim.random_alternative(bench.dataset, bench.rng).apply(
                bench.held.take(part), bench.dataset
            ),
        )
        for part in parts
    ]
    return pooled(rates)


def _on_references(bench: Bench, applied: AppliedClaim) -> Rate:
    return pooled([follows(reference, applied) for reference in bench.references])


def _worst_accuracy(bench: Bench) -> float:
    return min(accuracy(reference, bench.held).value for reference in bench.references)


def _chance(bench: Bench) -> float:
    return 1 / len(bench.dataset.classes)


def pooled(rates: list[Rate]) -> Rate:
    """The rates of several models or inputs as one."""
    return Rate(sum(rate.hits for rate in rates), sum(rate.n for rate in rates))


def bench(suspect: Specimen, recipe: Recipe, seed: Seed) -> Bench:
    """The bench of this seed's suspect; the same inputs whenever it is measured again."""
    dataset = suspect.dataset
    return Bench(
        suspect=suspect,
        references=read_references(recipe.dataset, recipe.model, dataset),
        dataset=dataset,
        held=dataset.sample(HELD, "held", seed.child("held").numpy()),
        rng=seed.child("verify").numpy(),
    )
