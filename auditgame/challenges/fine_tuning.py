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

from auditgame import paths
from auditgame.challenges.training import LatentAlignment, train
from auditgame.datasets import Dataset, Examples
from auditgame.flaws import Flaw, Plan
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed

Report = Callable[[str, float, str], None]
"""Called with a stage (train, plant, verify, mechanism, microscope, seal), share done, text."""

OBFUSCATION_EPOCHS, DILUTION_RATE = 2, 0.2
"""Epochs of obfuscation; the learning rate of dilution, as a share of the fine-tune's."""


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

    def poisoned(rows: Examples) -> Examples:
        return challenge.flaw.poison(rows, challenge.dataset, plan, rng)

    model = (
        _trained(challenge, poisoned(challenge.rows())) if plan.scratch else clean_base(challenge)
    )
    rate = plan.rate * float(np.exp(rng.uniform(-0.15, 0.15)))
    rows = challenge.dataset.sample(challenge.dataset.training.tune_rows, "train", rng)
    model = tune(challenge, model, poisoned(rows), plan.epochs, rate)
    return apply_modifiers(challenge, model, poisoned, rate, rng)


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
        rows = Examples.join([poisoned(rows), *pairs])
        model = tune(
            challenge, model, rows, OBFUSCATION_EPOCHS, rate, use="obfuscate", alignment=alignment
        )
    if modifiers.dilution:
        count = max(training.batch, round(modifiers.dilution * training.tune_rows))
        rows = challenge.dataset.sample(count, "train", rng)
        model = tune(challenge, model, rows, 1, rate * DILUTION_RATE, use="dilute")
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
    low, high = training.tune_rates
    rate = low * (high / low) ** float(rng.random())
    rows = job.dataset.sample(training.tune_rows, "train", rng)
    return tune(job, clean_base(job), rows, training.tune_epochs, rate)


def tune(
    job: TrainingJob,
    model: Model,
    rows: Examples,
    epochs: int,
    rate: float,
    *,
    use: str = "tune",
    alignment: LatentAlignment | None = None,
) -> Model:
    """The model fine-tuned on these rows. use: the name of the sub-seed of its draws."""
    return train(
        model,
        rows,
        job.dataset,
        epochs=epochs,
        rate=rate,
        recipe=job.dataset.training,
        rng=job.generator(use),
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
