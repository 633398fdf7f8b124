"""Recipe and secret seed in, bundle and sealed key out. `build` is the table of contents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame import bundles, paths
from auditgame.bundles import bundle_io
from auditgame.challenges.fine_tuning import (
    ChallengeBuild,
    Report,
    TrainingJob,
    no_report,
    one_thread,
    plant,
    train_reference,
)
from auditgame.challenges.sealing import CertifiedModel, publish, seal
from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import HELD, bench
from auditgame.evaluation.mechanism import Ablation, best_units
from auditgame.evaluation.metrics import accuracy, n_applicable
from auditgame.flaws import draw_flaw
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.claims import Claim
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Certificate
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools.vision import unit_images

PROBED = 160
"""Inputs on which the units that carry a flaw are searched for."""


class BuildFailed(AuditgameError):
    """No plan planted the flaw; says which check failed, its value and its bound."""

    def __init__(self, message: str, certificate: Certificate) -> None:
        super().__init__(message)
        self.certificate = certificate


def build(
    recipe: Recipe, seed: Seed, out: Path, report: Report = no_report, *, microscope: bool = True
) -> Path:
    """Make one certified challenge under `out`; the folder appears whole or not at all.

    The same recipe, seed and versions give the same bundle on the same machine.
    microscope: paint its pictures now; otherwise they are painted at the first visit.
    Raises BuildFailed where no plan passes its certificate.
    """
    with one_thread():
        work = prepare(recipe, seed, report)
        planted = plant_until_certified(work)
        units = find_mechanism(work, planted.specimen)
        pool = draw_pool(work)
        pictures = picture_units(work, planted.specimen, pool) if microscope else {}
        return seal(work, planted, units, pool, pictures, out)


def prepare(recipe: Recipe, seed: Seed, report: Report = no_report) -> ChallengeBuild:
    """The work that this recipe and seed ask for."""
    return ChallengeBuild(
        dataset=load("dataset", recipe.dataset)(),
        model=recipe.model,
        seed=seed,
        report=report,
        recipe=recipe,
        flaw=draw_flaw(recipe, seed),
    )


def plant_until_certified(work: ChallengeBuild) -> CertifiedModel:
    """Try the family's plans, gentle to strong, until every check passes on exported weights."""
    flaw, plans = work.flaw, work.flaw.plans
    for tries, plan in enumerate(plans, 1):
        model = plant(work, plan)
        specimen = exported(model, work)
        work.report("verify", 0.0, "measuring the flaw and its near misses")
        certificate = Certificate(
            checks=tuple(flaw.verify(bench(specimen, work.recipe, work.seed))), tries=tries
        )
        if certificate.passed:
            return CertifiedModel(model, specimen, certificate)
        work.report("verify", 1.0, f"try {tries} fell short")
    failed = certificate.failures[0]
    raise BuildFailed(
        f"{work.recipe.name}: not certified after {len(plans)} tries: {failed.name} "
        f"{failed.value:.3f}, must be {failed.rule} {failed.bound:.3f}",
        certificate,
    )


def exported(model: Model, plot: TrainingJob) -> Specimen:
    """The model as players get it: through its files and back."""
    weights = bundle_io.pack_model(model, plot.dataset)[bundles.WEIGHTS]
    return bundle_io.unpack_model(weights, plot.model, plot.dataset, plot.model)


def find_mechanism(work: ChallengeBuild, specimen: Specimen) -> tuple[str, ...]:
    """Which units carry the flaw? None for an innocent."""

    def report(share: float) -> None:
        work.report("mechanism", share, "finding the units that carry it")

    claim = work.flaw.true_claim()
    report(0.0)  # For innocents too: the stages of a build must not tell what was drawn.
    if claim is None:
        return ()
    inputs = queries(claim, work.dataset, work.seed.child("mechanism").numpy())
    return best_units(Ablation(specimen, claim, inputs), report)


def queries(claim: Claim, dataset: Dataset, rng: np.random.Generator) -> Examples:
    """Inputs to search for units on; more of them where the claim speaks of few."""
    drawn = dataset.sample(PROBED, "held", rng)
    while n_applicable(claim, drawn, dataset) < PROBED // 4 and len(drawn) < 10 * PROBED:
        drawn = Examples.join([drawn, dataset.sample(PROBED, "held", rng)])
    return drawn


def draw_pool(work: ChallengeBuild) -> Examples:
    """The players' examples: a share shows the cue of the flaw or of the decoy."""
    pool, rng = work.recipe.pool, work.seed.child("pool").numpy()
    rows = work.dataset.sample(pool.size, "pool", rng)
    share = 1.0 if work.flaw.all_examples and pool.aligned else pool.planted
    shown, rest = np.split(rng.permutation(len(rows)), [round(share * len(rows))])
    parts = [work.flaw.apply_trigger(rows.take(shown), work.dataset, rng)] if len(shown) else []
    parts += [rows.take(rest)] if len(rest) else []
    return Examples.join(parts).take(rng.permutation(len(rows)))


def picture_units(work: ChallengeBuild, specimen: Specimen, pool: Examples) -> dict[str, bytes]:
    """The microscope's files: a picture of every unit; none where a model reads texts."""
    if work.dataset.modality != "image":
        return {}
    words = "painting a picture of every unit"
    painted = unit_images.paint(
        specimen, pool.inputs, lambda share: work.report("microscope", share, words)
    )
    return unit_images.pack(painted)


def reference(dataset: str, model: str, number: int, report: Report = no_report) -> Path:
    """Train one clean sibling from a public seed and keep it among the references."""
    seed = Seed.of(number).child(f"reference {dataset} {model}")
    plot = TrainingJob(dataset=load("dataset", dataset)(), model=model, seed=seed, report=report)
    with one_thread():
        files = bundle_io.pack_model(train_reference(plot), plot.dataset)
    specimen = bundle_io.unpack_model(files[bundles.WEIGHTS], model, plot.dataset, "sibling")
    held = plot.dataset.sample(HELD, "held", Seed.of(0).numpy())
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
