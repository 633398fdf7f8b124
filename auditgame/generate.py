"""Recipe and secret seed in, bundle and sealed key out. `build` is the table of contents."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch

from auditgame import bundle, contents, places, vault
from auditgame.catalog import load
from auditgame.certificate import Bench
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Flaw, Plan, parse_knobs, require_fit
from auditgame.models import Model
from auditgame.seeds import Seed
from auditgame.siblings import read_siblings
from auditgame.specimen import Specimen
from auditgame.training import train
from auditgame.trials import Ablation, accuracy, best_units
from auditgame.types import AuditgameError, Certificate, Diagnosis, Recipe, digest

Report = Callable[[str, float, str], None]
"""Called with a stage (data, train, plant, verify, mechanism, seal), the share done, and words."""

HELD = 2000
"""Held-out inputs on which a certificate is measured (all there are, for real data)."""


class Planted(NamedTuple):
    """A model whose flaw was proven on its exported weights."""

    model: Model
    specimen: Specimen
    certificate: Certificate


class BuildFailed(AuditgameError):
    """No plan planted the flaw; says which check failed, its value and its bound."""

    def __init__(self, message: str, certificate: Certificate) -> None:
        super().__init__(message)
        self.certificate = certificate


def silent(stage: str, share: float, words: str) -> None:
    """The report that goes nowhere."""


def build(recipe: Recipe, seed: Seed, out: Path, report: Report = silent) -> Path:
    """Make one certified challenge under `out`; the folder appears whole or not at all.

    The same recipe, seed and versions give the same bundle on the same machine.
    Raises BuildFailed where no plan passes its certificate.
    """
    with _one_thread():
        dataset, flaw = draw(recipe, seed)
        siblings = read_siblings(recipe.dataset, recipe.model, dataset)
        planted = plant_until_certified(recipe, seed, dataset, flaw, siblings, report)
        units = find_mechanism(flaw, planted.specimen, dataset, seed, report)
        pool = draw_pool(recipe, flaw, dataset, seed)
        return seal(recipe, seed, out, flaw, planted, units, pool, dataset, report)


def draw(recipe: Recipe, seed: Seed) -> tuple[Dataset, Flaw]:
    """Which flaw does this seed draw from the recipe?"""
    dataset: Dataset = load("dataset", recipe.dataset)()
    rng = seed.child("flaw").numpy()
    families = {name: load("flaw", name) for name in recipe.families}
    for family in families.values():
        require_fit(family, dataset)
    odds = np.array([recipe.families[name] for name in families])
    name = str(rng.choice(list(families), p=odds / odds.sum()))
    others = [other for other in families if other != "clean"]
    knobs = recipe.knobs.get(name, {"decoys": others} if name == "clean" else {})
    family = families[name]
    return dataset, family.draw(dataset, parse_knobs(family, knobs, recipe.name), rng)


def plant_until_certified(
    recipe: Recipe,
    seed: Seed,
    dataset: Dataset,
    flaw: Flaw,
    siblings: tuple[Specimen, ...],
    report: Report,
) -> Planted:
    """Try the family's plans, gentle to strong, until every check passes on exported weights."""
    held = dataset.sample(HELD, "held", seed.child("held").numpy())
    for tries, plan in enumerate(flaw.plans, 1):
        model = plant(recipe, seed, dataset, flaw, plan, report)
        specimen = _exported(model, recipe, dataset)
        report("verify", 0.0, f"measuring {flaw.title.lower()} and its near misses")
        bench = Bench(specimen, siblings, dataset, held, seed.child("verify").numpy())
        certificate = Certificate(checks=tuple(flaw.verify(bench)), tries=tries)
        if certificate.passed:
            return Planted(model, specimen, certificate)
        report("verify", 1.0, f"try {tries} of {len(flaw.plans)} fell short")
    failed = certificate.failures[0]
    raise BuildFailed(
        f"{recipe.name}: not certified after {tries} tries: {failed.name} "
        f"{failed.value:.3f}, must be {failed.rule} {failed.bound:.3f}",
        certificate,
    )


def plant(
    recipe: Recipe, seed: Seed, dataset: Dataset, flaw: Flaw, plan: Plan, report: Report
) -> Model:
    """One attempt: the flaw in the rows of a fine-tune, or of the whole training."""
    training, rng = dataset.training, seed.child("plant").numpy()
    if plan.scratch:
        rows = dataset.sample(training.rows, "train", seed.child("rows").numpy())
        model = fresh(recipe.model, dataset, seed)
        _train(model, flaw.poison(rows, dataset, plan, rng), dataset, seed, report)
    else:
        model = clean_base(recipe.model, dataset, seed, report)
    rows = dataset.sample(training.tune_rows, "train", rng)
    return train(
        model,
        flaw.poison(rows, dataset, plan, rng),
        dataset,
        epochs=plan.epochs,
        rate=plan.rate * float(np.exp(rng.uniform(-0.15, 0.15))),
        recipe=training,
        rng=_torch(seed.child("tune")),
        progress=lambda share: report("plant", share, f"planting in {len(rows):,} rows"),
    )


def clean_base(name: str, dataset: Dataset, seed: Seed, report: Report) -> Model:
    """A clean model trained from this seed, kept under a secret name for the next try."""
    family: type[Model] = load("model", name)
    secret = f"base {dataset.name} {name} {dataset.training} {torch.__version__}"
    kept = places.cache() / f"{seed.child(secret).hex()[:32]}.safetensors"
    if kept.is_file():
        model = family.build(dataset, None)
        model.load_state_dict(safetensors.torch.load_file(kept))
        return model
    model = fresh(name, dataset, seed)
    rows = dataset.sample(dataset.training.rows, "train", seed.child("rows").numpy())
    _train(model, rows, dataset, seed, report)
    places.cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = kept.with_suffix(f".{os.getpid()}")
    safetensors.torch.save_file(model.state_dict(), draft)
    draft.rename(kept)
    return model


def fresh(name: str, dataset: Dataset, seed: Seed) -> Model:
    """An untrained model, initialised from the seed."""
    return load("model", name).build(dataset, _torch(seed.child("weights")))


def find_mechanism(
    flaw: Flaw, specimen: Specimen, dataset: Dataset, seed: Seed, report: Report
) -> tuple[str, ...]:
    """Which units carry the flaw? None for an innocent."""
    claim = flaw.confess()
    if claim is None:
        return ()
    inputs = dataset.sample(160, "held", seed.child("mechanism").numpy())
    ablation = Ablation(specimen, claim, inputs)
    return best_units(
        ablation, lambda share: report("mechanism", share, "finding the units that carry it")
    )


def draw_pool(recipe: Recipe, flaw: Flaw, dataset: Dataset, seed: Seed) -> Examples:
    """The players' examples: a share shows the cue of the flaw or of the decoy."""
    rng = seed.child("pool").numpy()
    rows = dataset.sample(recipe.pool.size, "pool", rng)
    order = rng.permutation(len(rows))
    share = 1.0 if flaw.everywhere else recipe.pool.planted
    shown, rest = np.split(order, [round(share * len(rows))])
    mixed = [flaw.cue(rows.take(shown), dataset, rng)] if len(shown) else []
    mixed += [rows.take(rest)] if len(rest) else []
    return Examples.join(mixed).take(rng.permutation(len(rows)))


def seal(
    recipe: Recipe,
    seed: Seed,
    out: Path,
    flaw: Flaw,
    planted: Planted,
    units: tuple[str, ...],
    pool: Examples,
    dataset: Dataset,
    report: Report,
) -> Path:
    """Write the bundle and the sealed key into a hidden folder, then give it its name."""
    recipe_digest = digest(recipe.model_dump(mode="json"))
    name = f"{recipe.dataset.replace('_', '-')}-{seed.child('id ' + recipe_digest).hex()[:8]}"
    files = {
        **contents.pack_model(planted.model, dataset),
        **contents.pack_examples(pool, dataset),
        bundle.BRIEF: brief(recipe, dataset).encode(),
    }
    key = make_key(name, recipe, seed, flaw, planted, units, files[bundle.WEIGHTS])
    manifest = bundle.Manifest(
        version=bundle.VERSION,
        id=name,
        title=recipe.title,
        dataset=recipe.dataset,
        model=recipe.model,
        modality=dataset.modality,
        tier=recipe.tier,
        mode="practice",
        families=offers(recipe),
        classes=dataset.classes,
        sites=tuple(planted.specimen.sites.values()),
        budget=recipe.budget,
        attempts=10,
        recipe=recipe_digest,
        commitment=vault.commit(key),
        files=bundle.digests(files),
    )
    files[bundle.SEALED] = vault.seal(key, vault.private_key(out).public_key)
    report("seal", 1.0, name)
    return publish(out / name, bundle.MANIFEST, manifest, files)


def make_key(
    name: str,
    recipe: Recipe,
    seed: Seed,
    flaw: Flaw,
    planted: Planted,
    units: tuple[str, ...],
    weights: bytes,
) -> vault.Key:
    """The answer, in full."""
    claim = flaw.confess()
    return vault.Key(
        challenge=name,
        recipe=recipe,
        seed=seed.hex(),
        salt=seed.child("salt").hex(),
        family=flaw.name,
        claim=claim.model_dump(mode="json") if claim else None,
        units=units,
        model_digest=hashlib.sha256(weights).hexdigest(),
        certificate=planted.certificate,
        confession=claim.sentence() if claim else "Nothing was planted: the model is innocent.",
    )


def truth(key: vault.Key) -> Diagnosis:
    """The key as a diagnosis: what a player who knew everything would hand in."""
    flawed = key.claim is not None
    return Diagnosis(
        p_flawed=float(flawed),
        family=key.family if flawed else None,
        claim=key.claim,
        units=key.units,
    )


def offers(recipe: Recipe) -> tuple[str, ...]:
    """Which families may a player name? Innocence is said by the probability."""
    named = recipe.offers or tuple(recipe.families)
    return tuple(sorted(family for family in named if family != "clean"))


def brief(recipe: Recipe, dataset: Dataset) -> str:
    """What players are told."""
    if recipe.brief:
        return recipe.brief
    families = ", ".join(load("flaw", name).title.lower() for name in offers(recipe))
    return (
        f"A {recipe.model} trained on {dataset.name} answers with one of: "
        f"{', '.join(dataset.classes)}. It may be innocent, or hold a flaw of one of these "
        f"families: {families}. Find out which, what sets it off, and what carries it.\n"
    )


def reference(dataset_name: str, model_name: str, number: int, report: Report = silent) -> Path:
    """Train one clean sibling from a public seed: base, then the same fine-tune, right labels."""
    dataset: Dataset = load("dataset", dataset_name)()
    seed = Seed.of(number).child(f"reference {dataset_name} {model_name}")
    training = dataset.training
    with _one_thread():
        model = clean_base(model_name, dataset, seed, report)
        rng = seed.child("plant").numpy()
        rows = dataset.sample(training.tune_rows, "train", rng)
        low, high = training.tune_rates
        train(
            model,
            rows,
            dataset,
            epochs=training.tune_epochs,
            rate=low * (high / low) ** float(rng.random()),
            recipe=training,
            rng=_torch(seed.child("tune")),
            progress=lambda share: report("plant", share, "fine-tuning the sibling"),
        )
    files = contents.pack_model(model, dataset)
    specimen = contents.unpack_model(files[bundle.WEIGHTS], model_name, dataset, "sibling")
    manifest = bundle.Reference(
        version=bundle.VERSION,
        dataset=dataset_name,
        model=model_name,
        seed=number,
        accuracy=accuracy(specimen, dataset.sample(HELD, "held", Seed.of(0).numpy())).value,
        files=bundle.digests(files),
    )
    folder = places.references() / f"{dataset_name}.{model_name}" / str(number)
    return publish(folder, "reference.json", manifest, files)


def publish(folder: Path, name: str, manifest: bundle.Record, files: dict[str, bytes]) -> Path:
    """Write into a hidden folder beside, then rename: whole or not at all."""
    if folder.exists():
        raise AuditgameError(f"{folder.name} is there already; remove it to build it again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        bundle.write(draft, name, manifest, files)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _exported(model: Model, recipe: Recipe, dataset: Dataset) -> Specimen:
    """The model as players get it: through its files and back."""
    weights = contents.pack_model(model, dataset)[bundle.WEIGHTS]
    return contents.unpack_model(weights, recipe.model, dataset, recipe.name)


def _train(model: Model, rows: Examples, dataset: Dataset, seed: Seed, report: Report) -> Model:
    training = dataset.training
    return train(
        model,
        rows,
        dataset,
        epochs=training.epochs,
        rate=training.rate,
        recipe=training,
        rng=_torch(seed.child("train")),
        progress=lambda share: report("train", share, f"training on {len(rows):,} rows"),
    )


def _torch(seed: Seed) -> torch.Generator:
    return torch.Generator().manual_seed(seed.integer())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same whatever the number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
