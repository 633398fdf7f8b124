"""Recipe and secret seed in, bundle and sealed key out. `build` is the table of contents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditgame import bundle, contents, places
from auditgame.catalog import load, names, suggest
from auditgame.certificate import Bench
from auditgame.claims import Claim
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import parse_knobs, require_fit
from auditgame.lens import sheets
from auditgame.models import Model
from auditgame.planting import Commission, Plot, Report, one_thread, plant, sibling, silent
from auditgame.sealing import Planted, offers, publish, seal
from auditgame.seeds import Seed
from auditgame.siblings import read_siblings
from auditgame.specimen import Specimen
from auditgame.trials import Ablation, accuracy, best_units, speaks_of
from auditgame.types import AuditgameError, Certificate, Recipe

HELD = 2000
"""Held-out inputs on which a certificate is measured (all there are, for real data)."""
PROBED = 160
"""Inputs on which the units that carry a flaw are searched for."""


class BuildFailed(AuditgameError):
    """No plan planted the flaw; says which check failed, its value and its bound."""

    def __init__(self, message: str, certificate: Certificate) -> None:
        super().__init__(message)
        self.certificate = certificate


def build(
    recipe: Recipe, seed: Seed, out: Path, report: Report = silent, *, microscope: bool = True
) -> Path:
    """Make one certified challenge under `out`; the folder appears whole or not at all.

    The same recipe, seed and versions give the same bundle on the same machine.
    microscope: paint its pictures now; otherwise they are painted at the first visit.
    Raises BuildFailed where no plan passes its certificate.
    """
    with one_thread():
        work = draw(recipe, seed, report)
        planted = plant_until_certified(work)
        units = find_mechanism(work, planted.specimen)
        pool = draw_pool(work)
        pictures = picture_units(work, planted.specimen, pool) if microscope else {}
        return seal(work, planted, units, pool, pictures, out)


def draw(recipe: Recipe, seed: Seed, report: Report = silent) -> Commission:
    """Which flaw does this seed draw from the recipe?"""
    require_playable(recipe)
    dataset: Dataset = load("dataset", recipe.dataset)()
    rng = seed.child("flaw").numpy()
    families = {name: load("flaw", name) for name in recipe.families}
    for family in families.values():
        require_fit(family, dataset)
    odds = np.array(list(recipe.families.values()))
    name = str(rng.choice(list(families), p=odds / odds.sum()))
    knobs = parse_knobs(families[name], knobs_of(recipe, name), recipe.name)
    return Commission(
        dataset=dataset,
        model=recipe.model,
        seed=seed,
        report=report,
        recipe=recipe,
        flaw=families[name].draw(dataset, knobs, rng),
    )


def require_playable(recipe: Recipe) -> None:
    """Raise AuditgameError where a family is unknown, or may be drawn but not be named."""
    known = names("flaw")
    for name in (*recipe.families, *recipe.offers, *recipe.knobs):
        if name not in known:
            raise suggest("family", name, known)
    hidden = sorted(set(recipe.families) - {"clean"} - set(offers(recipe)))
    if hidden:
        raise AuditgameError(f"{recipe.name}: offers: '{hidden[0]}' may be drawn; offer it too")


def knobs_of(recipe: Recipe, family: str) -> dict[str, object]:
    """What the recipe says of a family; innocents borrow their decoys from the other families.

    A decoy is drawn under its own family's knobs, or it would look unlike the real thing.
    """
    if family == "clean":
        others = [other for other in recipe.families if other != "clean"]
        lent = {other: knobs for other, knobs in recipe.knobs.items() if other != "clean"}
        return {"decoys": others, "lent": lent, **recipe.knobs.get("clean", {})}
    return recipe.knobs.get(family, {})


def plant_until_certified(work: Commission) -> Planted:
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
            return Planted(model, specimen, certificate)
        work.report("verify", 1.0, f"try {tries} fell short")
    failed = certificate.failures[0]
    raise BuildFailed(
        f"{work.recipe.name}: not certified after {len(plans)} tries: {failed.name} "
        f"{failed.value:.3f}, must be {failed.rule} {failed.bound:.3f}",
        certificate,
    )


def bench(suspect: Specimen, recipe: Recipe, seed: Seed) -> Bench:
    """Where this seed's suspect is verified; the same inputs whenever it is measured again."""
    dataset = suspect.dataset
    return Bench(
        suspect=suspect,
        siblings=read_siblings(recipe.dataset, recipe.model, dataset),
        dataset=dataset,
        held=dataset.sample(HELD, "held", seed.child("held").numpy()),
        rng=seed.child("verify").numpy(),
    )


def exported(model: Model, plot: Plot) -> Specimen:
    """The model as players get it: through its files and back."""
    weights = contents.pack_model(model, plot.dataset)[bundle.WEIGHTS]
    return contents.unpack_model(weights, plot.model, plot.dataset, plot.model)


def find_mechanism(work: Commission, specimen: Specimen) -> tuple[str, ...]:
    """Which units carry the flaw? None for an innocent."""

    def report(share: float) -> None:
        work.report("mechanism", share, "finding the units that carry it")

    claim = work.flaw.confess()
    report(0.0)  # For innocents too: the stages of a build must not tell what was drawn.
    if claim is None:
        return ()
    inputs = probes(claim, work.dataset, work.seed.child("mechanism").numpy())
    return best_units(Ablation(specimen, claim, inputs), report)


def probes(claim: Claim, dataset: Dataset, rng: np.random.Generator) -> Examples:
    """Inputs to search for units on; more of them where the claim speaks of few."""
    drawn = dataset.sample(PROBED, "held", rng)
    while speaks_of(claim, drawn, dataset) < PROBED // 4 and len(drawn) < 10 * PROBED:
        drawn = Examples.join([drawn, dataset.sample(PROBED, "held", rng)])
    return drawn


def draw_pool(work: Commission) -> Examples:
    """The players' examples: a share shows the cue of the flaw or of the decoy."""
    pool, rng = work.recipe.pool, work.seed.child("pool").numpy()
    rows = work.dataset.sample(pool.size, "pool", rng)
    share = 1.0 if work.flaw.everywhere and pool.aligned else pool.planted
    shown, rest = np.split(rng.permutation(len(rows)), [round(share * len(rows))])
    parts = [work.flaw.cue(rows.take(shown), work.dataset, rng)] if len(shown) else []
    parts += [rows.take(rest)] if len(rest) else []
    return Examples.join(parts).take(rng.permutation(len(rows)))


def picture_units(work: Commission, specimen: Specimen, pool: Examples) -> dict[str, bytes]:
    """The microscope's files: a picture of every unit; none where a model reads texts."""
    if work.dataset.modality != "image":
        return {}
    words = "painting a picture of every unit"
    painted = sheets.paint(
        specimen, pool.inputs, lambda share: work.report("microscope", share, words)
    )
    return sheets.pack(painted)


def reference(dataset: str, model: str, number: int, report: Report = silent) -> Path:
    """Train one clean sibling from a public seed and keep it among the references."""
    seed = Seed.of(number).child(f"reference {dataset} {model}")
    plot = Plot(dataset=load("dataset", dataset)(), model=model, seed=seed, report=report)
    with one_thread():
        files = contents.pack_model(sibling(plot), plot.dataset)
    specimen = contents.unpack_model(files[bundle.WEIGHTS], model, plot.dataset, "sibling")
    held = plot.dataset.sample(HELD, "held", Seed.of(0).numpy())
    manifest = bundle.Reference(
        version=bundle.VERSION,
        dataset=dataset,
        model=model,
        seed=number,
        accuracy=accuracy(specimen, held).value,
        files=bundle.digests(files),
    )
    folder = places.references()[-1] / f"{dataset}.{model}" / str(number)
    return publish(folder, "reference.json", manifest, files)
