"""Building challenges: from a recipe and a secret seed to a bundle and its sealed key.

`build` is the table of contents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame import bundles, paths
from auditgame.bundles import bundle_io
from auditgame.bundles.reference_models import read_references
from auditgame.challenges.fine_tuning import (
    ChallengeBuild,
    Report,
    TrainingJob,
    no_report,
    one_thread,
    plant,
    train_reference,
)
from auditgame.challenges.sealing import Answer, CertifiedModel, publish, seal
from auditgame.datasets import Dataset, Examples
from auditgame.evaluation import chance
from auditgame.evaluation.certificate import HELD, bench, silent_pool_check
from auditgame.evaluation.mechanism import Ablation, best_units
from auditgame.evaluation.metrics import accuracy, n_applicable
from auditgame.flaws import draw_claims, draw_flaw
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.claims import Claim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Certificate, Chance
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools.vision import unit_images

MECHANISM_INPUTS = 160
"""Inputs on which the units that carry a flaw are searched for."""

POOLS = 5
"""Draws of the players' examples that are tried where these must show no cue."""


class BuildFailed(AuditgameError):
    """No plan planted the flaw; the message names the failed check, its value and its bound."""

    def __init__(self, message: str, certificate: Certificate) -> None:
        super().__init__(message)
        self.certificate = certificate


def build(
    recipe: Recipe, seed: Seed, out: Path, report: Report = no_report, *, microscope: bool = True
) -> Path:
    """Make one certified challenge under `out`; the folder appears whole or not at all.

    The same recipe, seed and versions give the same bundle on the same machine.
    microscope: draw the pictures of its units now; otherwise at the first visit.
    Raises BuildFailed where no plan passes its certificate.
    """
    with one_thread():
        challenge = prepare(recipe, seed, report)
        planted = plant_until_certified(challenge)
        pool, planted = certify_pool(challenge, planted)
        units = find_mechanism(challenge, planted.specimen)
        answer = Answer(units, find_chance(challenge, planted.specimen))
        pictures = picture_units(challenge, planted.specimen, pool) if microscope else {}
        return seal(challenge, planted, answer, pool, pictures, out)


def prepare(recipe: Recipe, seed: Seed, report: Report = no_report) -> ChallengeBuild:
    """The challenge that this recipe and seed ask for, nothing of it trained yet."""
    return ChallengeBuild(
        dataset=load("dataset", recipe.dataset)(),
        model=recipe.model,
        seed=seed,
        report=report,
        recipe=recipe,
        flaw=draw_flaw(recipe, seed),
    )


def plant_until_certified(challenge: ChallengeBuild) -> CertifiedModel:
    """Try the family's plans, weak to strong, until every check passes on the exported weights."""
    flaw, plans = challenge.flaw, challenge.flaw.plans
    for tries, plan in enumerate(plans, 1):
        model = canonical(plant(challenge, plan), challenge)
        specimen = exported(model, challenge)
        challenge.report("verify", 0.0, "measuring the certificate")
        certificate = Certificate(
            checks=tuple(flaw.verify(bench(specimen, challenge.recipe, challenge.seed))),
            tries=tries,
        )
        if certificate.passed:
            return CertifiedModel(model, specimen, certificate)
        challenge.report("verify", 1.0, f"try {tries} failed a check")
    raise not_certified(challenge, certificate, f"after {len(plans)} tries")


def not_certified(challenge: ChallengeBuild, certificate: Certificate, where: str) -> BuildFailed:
    """The error that names the first check that failed."""
    failed = certificate.failures[0]
    return BuildFailed(
        f"{challenge.recipe.name}: not certified {where}: {failed.name} "
        f"{failed.value:.3f}, must be {failed.rule} {failed.bound:.3f}",
        certificate,
    )


def canonical(model: Model, job: TrainingJob) -> Model:
    """The model in its canonical form."""
    model.canonicalise(job.statistics_inputs())
    return model


def exported(model: Model, job: TrainingJob) -> Specimen:
    """The model as players get it: written to its files and read back."""
    weights = bundle_io.pack_model(model, job.dataset)[bundles.WEIGHTS]
    return bundle_io.unpack_model(weights, job.model, job.dataset, job.model)


def find_mechanism(challenge: ChallengeBuild, specimen: Specimen) -> tuple[str, ...]:
    """The units that carry the flaw; none where the model is clean."""

    def report(share: float) -> None:
        challenge.report("mechanism", share, "searching for the units that carry the flaw")

    claim = challenge.flaw.true_claim()
    report(0.0)  # Also for clean models: the stages must not give the draw away.
    if claim is None:
        return ()
    rng = challenge.seed.child("mechanism").numpy()
    inputs = held_inputs(claim, challenge.dataset, MECHANISM_INPUTS, rng)
    return best_units(Ablation(specimen, claim, inputs), report)


def find_chance(challenge: ChallengeBuild, specimen: Specimen) -> Chance | None:
    """What random claims of the family achieve on this model; None where it is clean."""
    claim, recipe = challenge.flaw.true_claim(), challenge.recipe
    challenge.report("chance", 0.0, "measuring what random claims achieve")  # Clean ones too.
    if claim is None:
        return None
    rng = challenge.seed.child("chance").numpy()
    return chance.measure_chance(
        draw_claims(recipe, challenge.flaw.name, chance.DRAWS, rng),
        claim,
        specimen,
        read_references(recipe.dataset, recipe.model, challenge.dataset),
        held_inputs(claim, challenge.dataset, chance.INPUTS, rng),
    )


def held_inputs(claim: Claim, dataset: Dataset, number: int, rng: np.random.Generator) -> Examples:
    """So many held-out inputs; more of them where the claim applies to few."""
    drawn = dataset.sample(number, "held", rng)
    while n_applicable(claim, drawn, dataset) < number // 4 and len(drawn) < 10 * number:
        drawn = Examples.join([drawn, dataset.sample(number, "held", rng)])
    return drawn


def certify_pool(
    challenge: ChallengeBuild, planted: CertifiedModel
) -> tuple[Examples, CertifiedModel]:
    """The players' examples; where they are to show no cue, such that the model is silent on them.

    An example may show a cue by chance, so a few draws are tried.
    """
    if challenge.recipe.pool.planted:
        return draw_pool(challenge), planted
    references = read_references(challenge.recipe.dataset, challenge.model, challenge.dataset)
    for number in range(POOLS):
        pool = draw_pool(challenge, number)
        check = silent_pool_check(planted.specimen, references, pool)
        checks = (*planted.certificate.checks, check)
        certificate = planted.certificate.model_copy(update={"checks": checks})
        if check.passed:
            return pool, planted._replace(certificate=certificate)
    raise not_certified(challenge, certificate, f"on {POOLS} draws of its examples")


def draw_pool(challenge: ChallengeBuild, number: int = 0) -> Examples:
    """The players' examples: a share shows the trigger of the flaw or of the decoy.

    number: of the draw, where others did not do.
    """
    name = f"pool {number}" if number else "pool"
    pool, rng = challenge.recipe.pool, challenge.seed.child(name).numpy()
    rows = challenge.dataset.sample(pool.size, "pool", rng)
    share = 1.0 if challenge.flaw.all_examples and pool.aligned else pool.planted
    shown, rest = np.split(rng.permutation(len(rows)), [round(share * len(rows))])
    parts = (
        [challenge.flaw.apply_trigger(rows.take(shown), challenge.dataset, rng)]
        if len(shown)
        else []
    )
    parts += [rows.take(rest)] if len(rest) else []
    return Examples.join(parts).take(rng.permutation(len(rows)))


def picture_units(
    challenge: ChallengeBuild, specimen: Specimen, pool: Examples
) -> dict[str, bytes]:
    """The microscope's files: a picture of every unit; none for a text model."""
    if challenge.dataset.modality != "image":
        return {}
    words = "drawing a picture of every unit"
    images = unit_images.visualise(
        specimen, pool.inputs, lambda share: challenge.report("microscope", share, words)
    )
    return unit_images.pack(images)


def reference(dataset: str, model: str, number: int, report: Report = no_report) -> Path:
    """Train one reference model from a public seed, and store it with the others."""
    seed = Seed.of(number).child(f"reference {dataset} {model}")
    job = TrainingJob(dataset=load("dataset", dataset)(), model=model, seed=seed, report=report)
    with one_thread():
        files = bundle_io.pack_model(canonical(train_reference(job), job), job.dataset)
    specimen = bundle_io.unpack_model(files[bundles.WEIGHTS], model, job.dataset, "reference model")
    held = job.dataset.sample(HELD, "held", Seed.of(0).numpy())
    manifest = bundles.Reference(
        version=bundles.VERSION,
        dataset=dataset,
        model=model,
        seed=number,
        accuracy=accuracy(specimen, held).value,
        files=bundles.digests(files),
    )
    folder = paths.references()[-1] / f"{dataset}.{model}" / str(number)
    return publish(folder, bundles.REFERENCE, manifest, files)
