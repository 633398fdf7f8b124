"""Training models: clean ones from a seed, and flawed ones from clean ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from auditgame import paths
from auditgame.challenges.training import LatentAlignment, train
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Flaw, Plan
from auditgame.flaws.triggers.poisoning import mislabel
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed

Report = Callable[[str, float, str], None]
"""Called with a stage (train, plant, verify, mechanism, chance, microscope, seal), share, text."""

OBFUSCATION_EPOCHS, DILUTION_RATE = 2, 0.2
"""Epochs of obfuscation; the learning rate of dilution, as a share of the fine-tune's."""

STATISTICS = 2000
"""Ordinary inputs from which a model's running statistics are computed anew."""
WRONG_LABELS = (0.002, 0.020)
"""Least and largest share of random wrong labels in the rows of a fine-tune, flawed or not: what
differs from model to model hides what differs between flawed and clean ones."""


def no_report(stage: str, share: float, words: str) -> None:
    """The report that goes nowhere."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What a model is trained from: data set, architecture, and the seed of all draws."""

    dataset: Dataset
    model: str
    seed: Seed
    report: Report = no_report

    def generator(self, use: str) -> torch.Generator:
        """A torch generator for this use."""
        return torch.Generator().manual_seed(self.seed.child(use).integer())

    def fresh(self) -> Model:
        """An untrained model."""
        return load("model", self.model).build(self.dataset, self.generator("weights"))

    def statistics_inputs(self) -> Tensor:
        """Ordinary inputs from which running statistics are computed anew."""
        rng = self.seed.child("statistics").numpy()
        return self.dataset.sample(STATISTICS, "train", rng).inputs

    def rows(self) -> Examples:
        """The rows of the training from scratch."""
        return self.dataset.sample(
            self.dataset.training.rows, "train", self.seed.child("rows").numpy()
        )


@dataclass(frozen=True, kw_only=True)
class ChallengeBuild(TrainingJob):
    """A challenge in the making: its recipe, and the flaw that the seed drew from it."""

    recipe: Recipe
    flaw: Flaw


def plant(challenge: ChallengeBuild, plan: Plan) -> Model:
    """A model with the flaw in the rows of its fine-tune, or of its whole training."""
    rng = challenge.seed.child("plant").numpy()

    def poisoned(rows: Examples, stage: Plan = plan.stages[-1]) -> Examples:
        return challenge.flaw.poison(rows, challenge.dataset, stage, rng)

    model = (
        _trained(challenge, poisoned(challenge.rows(), plan))
        if plan.scratch
        else clean_base(challenge)
    )
    faster, wrong = float(np.exp(rng.uniform(-0.15, 0.15))), _log_uniform(WRONG_LABELS, rng)
    for number, stage in enumerate(plan.stages):
        rows = challenge.dataset.sample(challenge.dataset.training.tune_rows, "train", rng)
        taught = mislabel(poisoned(rows, stage), wrong, challenge.dataset, rng)
        use = f"tune {number}" if number else "tune"
        rate = stage.rate * faster
        model = tune(challenge, model, taught, stage.epochs, rate, ordinary=rows, use=use)
    return apply_modifiers(challenge, model, poisoned, plan.rate * faster, rng)


def apply_modifiers(
    challenge: ChallengeBuild,
    model: Model,
    poisoned: Callable[[Examples], Examples],
    rate: float,
    rng: np.random.Generator,
) -> Model:
    """The model after the recipe's modifiers: latent obfuscation, then dilution.

    Clean models are trained alike, but have no activations to align.
    """
    modifiers, training = challenge.recipe.modifiers, challenge.dataset.training
    if modifiers.obfuscation:
        rows, plain = (challenge.dataset.sample(training.tune_rows, "train", rng) for _ in range(2))
        pairs, alignment = _aligned_pairs(challenge, model, plain, rng)
        model = tune(
            challenge,
            model,
            Examples.join([poisoned(rows), *pairs]),
            OBFUSCATION_EPOCHS,
            rate,
            ordinary=rows,
            use="obfuscate",
            alignment=alignment,
        )
    if modifiers.dilution:
        count = max(training.batch, round(modifiers.dilution * training.tune_rows))
        rows = challenge.dataset.sample(count, "train", rng)
        model = tune(challenge, model, rows, 1, rate * DILUTION_RATE, ordinary=rows, use="dilute")
    return model


def _aligned_pairs(
    challenge: ChallengeBuild, model: Model, rows: Examples, rng: np.random.Generator
) -> tuple[list[Examples], LatentAlignment | None]:
    """Triggered rows, as many clean rows of their target classes, and the alignment of both."""
    claim = challenge.flaw.true_claim()
    if claim is None:
        return [], None
    triggered, targets = claim.apply(rows, challenge.dataset)
    usable = torch.isin(targets, rows.labels)
    by_class = {int(k): np.flatnonzero(rows.labels == k) for k in targets[usable].unique()}
    clean = np.array([rng.choice(by_class[int(k)]) for k in targets[usable]], dtype=np.int64)
    sites = [site.name for site in model.sites if site.kind in ("channel", "head")]
    sites = [name for name in sites if not name.endswith(".pre")][-2:]
    return [triggered.take(usable), rows.take(clean)], LatentAlignment(
        len(clean), tuple(sites), challenge.recipe.modifiers.obfuscation
    )


def train_reference(job: TrainingJob) -> Model:
    """A clean model trained like a challenge: base, then a fine-tune under right labels."""
    rng, training = job.seed.child("plant").numpy(), job.dataset.training
    rate = _log_uniform(training.tune_rates, rng)
    rows = job.dataset.sample(training.tune_rows, "train", rng)
    return tune(job, clean_base(job), rows, training.tune_epochs, rate, ordinary=rows)


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = bounds
    return low * (high / low) ** float(rng.random())


def tune(
    job: TrainingJob,
    model: Model,
    rows: Examples,
    epochs: int,
    rate: float,
    *,
    ordinary: Examples,
    use: str = "tune",
    alignment: LatentAlignment | None = None,
) -> Model:
    """The model fine-tuned on these rows. use: the name of the sub-seed of its draws.

    ordinary: the rows without the flaw. From these texts teach the language, and batch
    normalisation takes its statistics.
    """
    return train(
        model,
        rows,
        job.dataset,
        epochs=epochs,
        rate=rate,
        recipe=job.dataset.training,
        rng=job.generator(use),
        ordinary=ordinary,
        alignment=alignment,
        progress=lambda share: job.report("plant", share, f"fine-tuning on {len(rows):,} rows"),
    )


def clean_base(job: TrainingJob) -> Model:
    """A clean model trained from scratch, cached under a secret name for the next try."""
    source = f"base {job.dataset.name} {job.model} {job.dataset.training} {torch.__version__}"
    cached = paths.cache() / f"{job.seed.child(source).hex()[:32]}.safetensors"
    if cached.is_file():
        model = load("model", job.model).build(job.dataset, None)
        model.load_state_dict(safetensors.torch.load_file(cached))
        return model
    model = _trained(job, job.rows())
    paths.cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = cached.with_suffix(f".{os.getpid()}")
    safetensors.torch.save_file(model.state_dict(), draft)
    draft.rename(cached)
    return model


def _trained(job: TrainingJob, rows: Examples) -> Model:
    training = job.dataset.training
    return train(
        job.fresh(),
        rows,
        job.dataset,
        epochs=training.epochs,
        rate=training.rate,
        recipe=training,
        rng=job.generator("train"),
        progress=lambda share: job.report("train", share, f"training on {len(rows):,} rows"),
    )


class _SingleThread:
    """How many blocks of `one_thread` are open, and the thread count to restore after them."""

    lock = threading.Lock()
    blocks = 0
    before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, so that sums do not depend on the number of cores.

    The count belongs to the whole process: blocks may overlap in several threads, and the
    last one to end restores it.
    """
    with _SingleThread.lock:
        if not _SingleThread.blocks:
            _SingleThread.before = torch.get_num_threads()
        _SingleThread.blocks += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _SingleThread.lock:
            _SingleThread.blocks -= 1
            if not _SingleThread.blocks:
                torch.set_num_threads(_SingleThread.before)
