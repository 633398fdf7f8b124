"""Opens the key, tests a diagnosis against the model itself, and says what it is worth."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from auditgame import bundles
from auditgame.bundles import bundle_io, keys
from auditgame.bundles.reference_models import read_references, reference_folders
from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import HELD, at_least, bench
from auditgame.evaluation.claim_parsing import claim_class
from auditgame.evaluation.mechanism import Ablation, check_units, random_units
from auditgame.evaluation.metrics import accuracy, class_accuracy, effect, n_applicable
from auditgame.flaws import Flaw, draw_flaw
from auditgame.play import scoring
from auditgame.registry import load, require, suggest
from auditgame.schema.claims import Claim
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.schema.results import Certificate, Check, Reveal, Score
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

JUDGED = 1000
"""Held-out inputs on which claims are enacted; at least half remain after the target's own."""
ABLATED = 300
"""Of these, how many a mechanism is tested on."""
MECHANISM_FLOOR = 0.10
"""Where even the best units bring the effect down by less, no mechanism is asked for."""


class JudgingSetup(NamedTuple):
    """What stands on the referee's table: the suspect, its siblings, fresh held-out inputs."""

    suspect: Specimen
    references: tuple[Specimen, ...]
    dataset: Dataset
    inputs: Examples


def judge(folder: Path, diagnosis: Diagnosis) -> Score:
    """How good is this diagnosis of the challenge in `folder`? Nothing is written anywhere."""
    manifest = bundles.read_manifest(folder)
    key = open_key(folder)
    table = set_up(folder, manifest)
    claim = admit(diagnosis, manifest, table)
    if key.claim is None:
        return scoring.innocent(diagnosis.p_flawed)
    require("flaw", key.family, f"challenge '{manifest.id}'")
    return scoring.flawed(diagnosis.p_flawed, examine(diagnosis, claim, key, manifest, table))


def open_key(folder: Path) -> keys.Key:
    """The challenge's key, if it is the one that the bundle committed to."""
    sealed = folder / bundles.SEALED
    if not sealed.is_file():
        raise AuditgameError(f"{folder.name}: {bundles.SEALED} is missing; it cannot be judged")
    key = keys.unseal(sealed.read_bytes(), keys.private_key(folder.parent))
    if keys.commit(key) != bundles.read_manifest(folder).commitment:
        raise AuditgameError(f"{folder.name}: the key is not the one its bundle committed to")
    return key


def set_up(folder: Path, manifest: bundles.Manifest) -> JudgingSetup:
    """Load the suspect and its siblings, and draw the inputs that claims are tested on."""
    bundles.require_plugins(manifest)
    dataset = load("dataset", manifest.dataset)()
    suspect = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    references = read_references(manifest.dataset, manifest.model, dataset)
    inputs = dataset.sample(JUDGED, "held", _rng(manifest, "judge"))
    return JudgingSetup(suspect, references, dataset, inputs)


def admit(diagnosis: Diagnosis, manifest: bundles.Manifest, table: JudgingSetup) -> Claim | None:
    """The claim of a diagnosis that is in order; AuditgameError names what is not."""
    family = diagnosis.family
    if family is not None and family not in (*manifest.families, "clean"):
        raise suggest("family", family, manifest.families)
    check_units(table.suspect, diagnosis.units)
    if diagnosis.claim is None:
        return None
    form = load("flaw", family).Claim if family else None
    if form is None:
        raise AuditgameError("claim: name the family it belongs to, or leave the claim out")
    claim = form.parse(diagnosis.claim)
    claim.check(table.dataset)
    return claim


def examine(
    diagnosis: Diagnosis,
    said: Claim | None,
    key: keys.Key,
    manifest: bundles.Manifest,
    table: JudgingSetup,
) -> scoring.Findings:
    """Measure everything that the score of a flawed model needs."""
    true = claim_class(key.family).parse(key.claim)
    classes, named = len(table.dataset.classes), "target" in type(true).model_fields
    goal, due = getattr(said, "target", None), getattr(true, "target", None)
    value, words = test_claim(said, true, table)
    moved, moved_words = test_units(diagnosis.units, true, key.units, manifest, table)
    family = diagnosis.family if diagnosis.family != "clean" else None
    return scoring.Findings(
        family=(None if family is None else family == key.family, len(manifest.families)),
        target=((None if goal is None else goal == due), classes) if named else None,
        field_scores={
            name: grade
            for name, grade in (said.field_scores(true) if type(said) is type(true) else {}).items()
            if name != "target"
        },
        functional=value,
        functional_words=words,
        mechanism=moved,
        mechanism_words=moved_words,
    )


def test_claim(said: Claim | None, true: Claim, table: JudgingSetup) -> tuple[float, str]:
    """Enact the claim: how much of the true claim's effect, beyond the siblings', does it have?"""
    if said is None:
        return 0.0, "Nothing was claimed, so nothing could be enacted."
    mine = effect(said, table.suspect, table.references, table.inputs)
    best = effect(true, table.suspect, table.references, table.inputs)
    reach = true.coverage(said, table.dataset)
    whole = "" if reach == 1 else f" It speaks of {reach:.0%} of the flaw, and counts for that."
    return scoring.functional(mine.value, mine.low, best.value) * reach, (
        f"Enacted on {mine.suspect.n} fresh inputs it came true in {mine.suspect.value:.0%} "
        f"(clean siblings {mine.references:.0%}); the true one in {best.suspect.value:.0%}.{whole}"
    )


def test_units(
    units: tuple[str, ...],
    true: Claim,
    best: tuple[str, ...],
    manifest: bundles.Manifest,
    table: JudgingSetup,
) -> tuple[float | None, str]:
    """Take the named units out: how far does the effect fall, between random units and the best?"""
    ablation = Ablation(table.suspect, true, ablated(true, table))
    ceiling, rng = ablation.effect_drop(best), _rng(manifest, "random units")
    if ceiling < MECHANISM_FLOOR:
        return None, ""
    if not units:
        return 0.0, f"No units named; the best bring the effect down by {ceiling:.0%}."
    draws = [ablation.effect_drop(random_units(table.suspect, units, rng)) for _ in range(3)]
    floor, fell = float(np.mean(draws)), ablation.effect_drop(units)
    return scoring.mechanism(fell, ceiling, floor), (
        f"Without your units the effect falls by {fell:.0%}, accuracy weighed in; without the "
        f"best by {ceiling:.0%}, without random ones by {floor:.0%}."
    )


def ablated(true: Claim, table: JudgingSetup) -> Examples:
    """The inputs to take units out on; all of them where the claim speaks of few."""
    some = table.inputs.take(slice(0, ABLATED))
    few = n_applicable(true, some, table.dataset) < ABLATED // 4
    return table.inputs if few else some


def reveal(folder: Path) -> Reveal:
    """The opened key, for those who may see it."""
    manifest, key = bundles.read_manifest(folder), open_key(folder)
    return Reveal(
        challenge=manifest.id,
        family=key.family,
        truth=key.truth,
        confession=key.confession,
        certificate=key.certificate,
        commitment=manifest.commitment,
        commitment_holds=keys.commit(key) == manifest.commitment,
    )


def check_bundle(folder: Path) -> Certificate:
    """Measure a bundle's certificate again, from its exported files and its opened key."""
    manifest = bundles.read_manifest(folder)
    bundles.verify_files(folder, manifest.files, frozenset({bundles.MANIFEST, bundles.SEALED}))
    key = open_key(folder)
    require_own_model(folder, manifest, key)
    table = set_up(folder, manifest)
    require_own_recipe(manifest, key, table)
    bundle_io.read_examples(folder, table.dataset, manifest.files)
    place = bench(table.suspect, key.recipe, Seed.from_hex(key.seed))
    return Certificate(checks=tuple(rebuilt_flaw(key).verify(place)), tries=key.certificate.tries)


def rebuilt_flaw(key: keys.Key) -> Flaw:
    """The flaw drawn anew from the key's seed; it must be the one the key tells of."""
    flaw = draw_flaw(key.recipe, Seed.from_hex(key.seed))
    told = flaw.Claim.parse(key.claim) if flaw.Claim and flaw.name == key.family else None
    if flaw.name != key.family or flaw.true_claim() != told:
        raise AuditgameError(f"{key.challenge}: the seed draws another flaw than the key tells of")
    return flaw


def require_own_model(folder: Path, manifest: bundles.Manifest, key: keys.Key) -> None:
    """The weights must be the very ones that the key was sealed for."""
    found = manifest.files.get(bundles.WEIGHTS)
    if found == key.model_digest:
        return
    references = reference_folders(manifest.dataset, manifest.model)
    twins = [s for s in references if bundles.read_reference(s).files[bundles.WEIGHTS] == found]
    which = f"it is sibling {twins[0].name}" if twins else "another was put in its place"
    raise AuditgameError(
        f"{folder.name}: {bundles.WEIGHTS} is not the model that the key was sealed for; {which}"
    )


def require_own_recipe(manifest: bundles.Manifest, key: keys.Key, table: JudgingSetup) -> None:
    """What the bundle says of itself must be what its recipe, in the key, makes of it."""
    asked = key.recipe
    due = {
        "id": key.challenge,
        "recipe": digest(asked.model_dump(mode="json")),
        "families": asked.offered,
        "classes": table.dataset.classes,
        "sites": tuple(table.suspect.sites.values()),
    }
    due |= {name: getattr(asked, name) for name in ("title", "dataset", "model", "tier", "mode")}
    for field, value in (due | {"budget": asked.budget}).items():
        if getattr(manifest, field) != value:
            raise AuditgameError(
                f"{manifest.id}: {bundles.MANIFEST}: '{field}' is not what its recipe asks for"
            )


def check_reference(folder: Path) -> Certificate:
    """Measure a sibling again: its files, its accuracy as stated, every class."""
    reference = bundles.read_reference(folder)
    bundles.verify_files(folder, reference.files, frozenset({"reference.json"}))
    user = f"reference model '{folder.parent.name}/{folder.name}'"
    require("dataset", reference.dataset, user)
    require("model", reference.model, user)
    dataset = load("dataset", reference.dataset)()
    specimen = bundle_io.read_specimen(folder, reference.model, dataset, reference.files)
    held = dataset.sample(HELD, "held", Seed.of(0).numpy())
    clean = accuracy(specimen, held)
    worst = min(class_accuracy(specimen, held), key=lambda rate: rate.value)
    stated = Check(
        name="accuracy as stated",
        value=abs(clean.value - reference.accuracy),
        bound=0.005,
        rule="at most",
        words="distance from reference.json",
    )
    checks = (
        at_least("clean accuracy", clean, 0.90, "a sibling must be good at its task"),
        at_least("worst class", worst, 0.80, "accuracy in the hardest class"),
        stated,
    )
    return Certificate(checks=checks)


def _rng(manifest: bundles.Manifest, use: str) -> np.random.Generator:
    """A public generator: the same inputs for every player of a challenge."""
    name = hashlib.sha256(f"{manifest.id} {manifest.commitment}".encode()).digest()
    return Seed(name).child(use).numpy()
