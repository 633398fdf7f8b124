"""The referee: opens the sealed key, tests a diagnosis on the model, and scores it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from auditgame import bundles
from auditgame.bundles import bundle_io, keys
from auditgame.bundles.reference_models import read_references
from auditgame.datasets import Dataset, Examples
from auditgame.evaluation import bounds
from auditgame.evaluation.chance import content_of, field_grades
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.evaluation.mechanism import Ablation, check_units, random_sets
from auditgame.evaluation.metrics import Effect, effect, functional_share, n_applicable
from auditgame.play import scoring
from auditgame.registry import load, require, suggest
from auditgame.schema.claims import Claim
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Invalid, NotFound
from auditgame.schema.results import Reveal, Score
from auditgame.seeds import Seed
from auditgame.specimen import Specimen


@dataclass(frozen=True)
class JudgingSetup:
    """What a diagnosis is tested on: the suspect, its reference models, held-out inputs.

    What was measured is kept: equal claims are applied once.
    """

    suspect: Specimen
    references: tuple[Specimen, ...]
    dataset: Dataset
    inputs: Examples
    _effects: dict[bytes, Effect] = field(default_factory=dict, init=False, repr=False)
    _ablations: dict[bytes, Ablation] = field(default_factory=dict, init=False, repr=False)

    def effect(self, claim: Claim) -> Effect:
        """The claim's effect on the suspect, beyond that on the reference models."""
        content = content_of(claim)
        if content not in self._effects:
            found = effect(claim, self.suspect, self.references, self.inputs)
            self._effects[content] = found
        return self._effects[content]

    def ablation(self, claim: Claim) -> Ablation:
        """Removes units from the suspect while this claim is applied."""
        content = content_of(claim)
        if content not in self._ablations:
            inputs = ablation_inputs(claim, self)
            self._ablations[content] = Ablation(self.suspect, claim, inputs)
        return self._ablations[content]


def judge(folder: Path, diagnosis: Diagnosis) -> Score:
    """The score of this diagnosis of the challenge in `folder`. Nothing is written."""
    manifest = bundles.read_manifest(folder)
    key = open_key(folder)
    setup = set_up(folder, manifest)
    claim = checked_claim(diagnosis, manifest, setup)
    if key.claim is None:
        return scoring.clean(diagnosis.p_flawed)
    require("flaw", key.family, f"challenge '{manifest.id}'")
    return scoring.flawed(diagnosis.p_flawed, measure(diagnosis, claim, key, manifest, setup))


def open_key(folder: Path) -> keys.Key:
    """The challenge's key, if it is the one that the bundle committed to."""
    sealed = folder / bundles.SEALED
    if not sealed.is_file():
        raise NotFound(f"{folder.name}: {bundles.SEALED} is missing; it cannot be judged")
    key = keys.unseal(sealed.read_bytes(), keys.private_key(folder.parent))
    if keys.commit(key) != bundles.read_manifest(folder).commitment:
        raise Invalid(
            f"{folder.name}: the key is not the one its bundle committed to; fetch the bundle again"
        )
    return key


def set_up(folder: Path, manifest: bundles.Manifest) -> JudgingSetup:
    """Load the suspect and its reference models, and draw the inputs for testing claims."""
    bundles.require_plugins(manifest)
    dataset = load("dataset", manifest.dataset)()
    suspect = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    references = read_references(manifest.dataset, manifest.model, dataset)
    inputs = dataset.sample(scoring.WEIGHTS.judged_inputs, "held", _rng(manifest, "judge"))
    return JudgingSetup(suspect, references, dataset, inputs)


def checked_claim(
    diagnosis: Diagnosis, manifest: bundles.Manifest, setup: JudgingSetup
) -> Claim | None:
    """The claim of a valid diagnosis; AuditgameError names what is invalid."""
    family = diagnosis.family
    if family is not None and family not in (*manifest.families, "clean"):
        raise suggest("family", family, manifest.families)
    check_units(setup.suspect, diagnosis.units)
    if diagnosis.claim is None:
        return None
    form = load("flaw", family).Claim if family else None
    if form is None:
        raise Invalid("claim: name the family it belongs to, or leave the claim out")
    claim = form.parse(diagnosis.claim)
    claim.check(setup.dataset)
    return claim


def measure(
    diagnosis: Diagnosis,
    claim: Claim | None,
    key: keys.Key,
    manifest: bundles.Manifest,
    setup: JudgingSetup,
) -> scoring.Findings:
    """Measure everything that the score of a flawed model needs."""
    true = claim_type(key.family).parse(key.claim)
    functional, functional_words = test_claim(claim, true, setup)
    mechanism, mechanism_words = test_units(diagnosis.units, true, key.units, manifest, setup)
    family = diagnosis.family if diagnosis.family != "clean" else None
    return scoring.Findings(
        family=(None if family is None else family == key.family, len(manifest.families)),
        target=compare_targets(claim, true, len(setup.dataset.classes)),
        field_scores=field_grades(claim, true),
        functional=functional,
        functional_words=functional_words,
        chance=scoring.claim_share(*key.chance.means) if key.chance else 0.0,
        mechanism=mechanism,
        mechanism_words=mechanism_words,
    )


def compare_targets(
    claim: Claim | None, true: Claim, classes: int
) -> tuple[bool | None, int] | None:
    """Is the target class right, among how many? None where the flaw has no single target."""
    if "target" not in type(true).model_fields:
        return None
    named, right = getattr(claim, "target", None), getattr(true, "target", None)
    return None if named is None else named == right, classes


def test_claim(claim: Claim | None, true: Claim, setup: JudgingSetup) -> tuple[float | None, str]:
    """Apply the claim: which share of the true claim's effect does it have, in [0, 1]?

    Effects are those beyond the reference models'. None where there is no claim.
    """
    if claim is None:
        return None, ""
    own, best = setup.effect(claim), setup.effect(true)
    coverage = true.coverage(claim, setup.dataset)
    partly = "" if coverage == 1 else f" It covers {coverage:.0%} of the flaw, and counts for that."
    return functional_share(own.value, own.low, best.value) * coverage, (
        f"Applied to {own.suspect.n} fresh inputs, the claim held in {own.suspect.value:.0%} "
        f"(reference models: {own.references:.0%}); the true one in {best.suspect.value:.0%}."
        f"{partly}"
    )


def test_units(
    units: tuple[str, ...],
    true: Claim,
    best: tuple[str, ...],
    manifest: bundles.Manifest,
    setup: JudgingSetup,
) -> tuple[float | None, str]:
    """Remove the named units: how far does the effect fall, in [-1, 1]?

    0 is the fall without random units, 1 that without the best. None where no mechanism
    is asked for. The random units are drawn anew for every set of named ones: the same few
    for all would make the zero of a whole challenge too high or too low.
    """
    weights = scoring.WEIGHTS
    ablation = setup.ablation(true)
    most = ablation.effect_drop(best)
    if most < weights.mechanism_floor:
        return None, ""
    if not units:
        return 0.0, f"No units named; removing the best lowers the effect by {most:.0%}."
    rng = _rng(manifest, f"random units {' '.join(sorted(units))}")
    sets = random_sets(setup.suspect, units, weights.random_sets, rng)
    random = ablation.mean_drop(sets, weights.random_set_inputs)
    named = ablation.effect_drop(units)
    return scoring.mechanism(named, most, random), (
        f"Without your units the effect falls by {named:.0%}, weighted by the accuracy kept; "
        f"without the best by {most:.0%}, without random ones by {random:.0%}."
    )


def ablation_inputs(true: Claim, setup: JudgingSetup) -> Examples:
    """The inputs on which units are removed; all of them where the claim applies to few."""
    number = scoring.WEIGHTS.ablated_inputs
    first = setup.inputs.take(slice(0, number))
    few = n_applicable(true, first, setup.dataset) < number // 4
    return setup.inputs if few else first


def reveal(folder: Path) -> Reveal:
    """The opened key, for those who may see it."""
    manifest, key = bundles.read_manifest(folder), open_key(folder)
    return Reveal(
        challenge=manifest.id,
        family=key.family,
        truth=key.truth,
        confession=key.confession,
        certificate=bounds.reworded(key.certificate),
        commitment=manifest.commitment,
        commitment_holds=keys.commit(key) == manifest.commitment,
    )


def _rng(manifest: bundles.Manifest, use: str) -> np.random.Generator:
    """A public generator: the same inputs for every player of a challenge."""
    name = hashlib.sha256(f"{manifest.id} {manifest.commitment}".encode()).digest()
    return Seed(name).child(use).numpy()
