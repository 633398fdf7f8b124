"""Verification: the certificates of bundles and reference models, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from auditgame import bundles
from auditgame.bundles import bundle_io
from auditgame.bundles.reference_models import reference_folders
from auditgame.evaluation import bounds
from auditgame.evaluation.certificate import HELD, bench, silent_pool_check
from auditgame.evaluation.metrics import accuracy, class_accuracy
from auditgame.flaws import Flaw, draw_flaw
from auditgame.play import referee
from auditgame.registry import load, require
from auditgame.schema.errors import Invalid
from auditgame.schema.results import Certificate
from auditgame.seeds import Seed

if TYPE_CHECKING:
    from auditgame.bundles import keys


def check_bundle(folder: Path) -> Certificate:
    """Measure a bundle's certificate again, from its exported files and its opened key."""
    manifest = bundles.read_manifest(folder)
    bundles.verify_files(folder, manifest.files, frozenset({bundles.MANIFEST, bundles.SEALED}))
    key = referee.open_key(folder)
    require_own_model(folder, manifest, key)
    setup = referee.set_up(folder, manifest)
    require_own_recipe(manifest, key, setup)
    pool = bundle_io.read_examples(folder, setup.dataset, manifest.files)
    where = bench(setup.suspect, key.recipe, Seed.from_hex(key.seed))
    checks = rebuilt_flaw(key).verify(where)
    if not key.recipe.pool.planted:
        checks.append(silent_pool_check(setup.suspect, setup.references, pool))
    return Certificate(checks=tuple(checks), tries=key.certificate.tries)


def rebuilt_flaw(key: keys.Key) -> Flaw:
    """The flaw drawn again from the key's seed; AuditgameError where it is not the key's own."""
    flaw = draw_flaw(key.recipe, Seed.from_hex(key.seed))
    sealed = flaw.Claim.parse(key.claim) if flaw.Claim and flaw.name == key.family else None
    if flaw.name != key.family or flaw.true_claim() != sealed:
        raise Invalid(f"{key.challenge}: the seed draws another flaw than the key names")
    return flaw


def require_own_model(folder: Path, manifest: bundles.Manifest, key: keys.Key) -> None:
    """Raise AuditgameError unless the weights are the very ones that the key was sealed for."""
    found = manifest.files.get(bundles.WEIGHTS)
    if found == key.model_digest:
        return
    folders = reference_folders(manifest.dataset, manifest.model)
    same = [f for f in folders if bundles.read_reference(f).files[bundles.WEIGHTS] == found]
    which = f"it is reference model {same[0].name}" if same else "it was replaced by another"
    raise Invalid(
        f"{folder.name}: {bundles.WEIGHTS} is not the model that the key was sealed for; {which}"
    )


def require_own_recipe(
    manifest: bundles.Manifest, key: keys.Key, setup: referee.JudgingSetup
) -> None:
    """Raise AuditgameError unless the manifest says what the key's recipe makes of it."""
    recipe = key.recipe
    expected = {
        "id": key.challenge,
        "title": key.title,
        "recipe": key.recipe_commitment,
        "families": recipe.offered,
        "classes": setup.dataset.classes,
        "sites": tuple(setup.suspect.sites.values()),
    }
    for name in ("dataset", "model", "tier", "mode", "budget"):
        expected[name] = getattr(recipe, name)
    for field, value in expected.items():
        if getattr(manifest, field) != value:
            raise Invalid(
                f"{manifest.id}: {bundles.MANIFEST}: '{field}' is not what its recipe asks for"
            )


def check_reference(folder: Path) -> Certificate:
    """Measure a reference model again: its files, its accuracy as stated, every class."""
    reference = bundles.read_reference(folder)
    bundles.verify_files(folder, reference.files, frozenset({bundles.REFERENCE}))
    user = f"reference model '{folder.parent.name}/{folder.name}'"
    require("dataset", reference.dataset, user)
    require("model", reference.model, user)
    dataset = load("dataset", reference.dataset)()
    specimen = bundle_io.read_specimen(folder, reference.model, dataset, reference.files)
    held = dataset.sample(HELD, "held", Seed.of(0).numpy())
    clean = accuracy(specimen, held)
    worst = min(class_accuracy(specimen, held), key=lambda rate: rate.value)
    checks = (
        bounds.REFERENCE_ACCURACY.check(clean),
        bounds.REFERENCE_WORST_CLASS.check(worst),
        bounds.REFERENCE_AS_STATED.check_number(abs(clean.value - reference.accuracy)),
    )
    return Certificate(checks=checks)
