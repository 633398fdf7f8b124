"""Growing models: clean ones from a seed, and flawed ones from clean ones."""

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
"""Called with a stage (train, plant, verify, mechanism, microscope, seal), share done, words."""

_THREAD_COUNT = threading.RLock()
"""Held while torch's thread count is changed."""
OBFUSCATED, DILUTED = 2, 0.2
"""Epochs of obfuscation; the learning rate of dilution, as a share of the planting's."""


def no_report(stage: str, share: float, words: str) -> None:
    """The report that goes nowhere."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Where a model grows: its data set, its architecture, the seed of all its draws."""

    dataset: Dataset
    model: str
    seed: Seed
    report: Report = no_report

    def generator(self, use: str) -> torch.Generator:
        """A torch generator for one use."""
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
    """One challenge to be made: the recipe, and the flaw that the seed drew from it."""

    recipe: Recipe
    flaw: Flaw


def plant(work: ChallengeBuild, plan: Plan) -> Model:
    """One attempt: the flaw in the rows of a fine-tune, or of the whole training."""
    rng = work.seed.child("plant").numpy()

    def poisoned(rows: Examples) -> Examples:
        return work.flaw.poison(rows, work.dataset, plan, rng)

    model = _trained(work, poisoned(work.rows())) if plan.scratch else clean_base(work)
    rate = plan.rate * float(np.exp(rng.uniform(-0.15, 0.15)))
    rows = work.dataset.sample(work.dataset.training.tune_rows, "train", rng)
    model = tune(work, model, poisoned(rows), plan.epochs, rate)
    return apply_modifiers(work, model, poisoned, rate, rng)


def apply_modifiers(
    work: ChallengeBuild,
    model: Model,
    poisoned: Callable[[Examples], Examples],
    rate: float,
    rng: np.random.Generator,
) -> Model:
    """The recipe's modifiers: draw the cue's traces to the target's, then dilute the flaw.

    Innocents are brought up alike, save that there is nothing to draw.
    """
    modifiers, training = work.recipe.modifiers, work.dataset.training
    if modifiers.obfuscation:
        rows, plain = (work.dataset.sample(training.tune_rows, "train", rng) for _ in range(2))
        joined, pull = _pull(work, model, plain, rng)
        rows = Examples.join([poisoned(rows), *joined])
        model = tune(work, model, rows, OBFUSCATED, rate, use="obfuscate", pull=pull)
    if modifiers.dilution:
        count = max(training.batch, round(modifiers.dilution * training.tune_rows))
        rows = work.dataset.sample(count, "train", rng)
        model = tune(work, model, rows, 1, rate * DILUTED, use="dilute")
    return model


def _pull(
    work: ChallengeBuild, model: Model, rows: Examples, rng: np.random.Generator
) -> tuple[list[Examples], LatentAlignment | None]:
    """Rows that bear the cue, ordinary ones of the classes they go to, and how they are pulled."""
    claim = work.flaw.true_claim()
    if claim is None:
        return [], None
    cued, targets = claim.apply(rows, work.dataset)
    there = torch.isin(targets, rows.labels)
    homes = {int(k): np.flatnonzero(rows.labels == k) for k in targets[there].unique()}
    ordinary = np.array([rng.choice(homes[int(k)]) for k in targets[there]], dtype=np.int64)
    sites = [site.name for site in model.sites if site.kind in ("channel", "head")]
    sites = [name for name in sites if not name.endswith(".pre")][-2:]
    return [cued.take(there), rows.take(ordinary)], LatentAlignment(
        len(ordinary), tuple(sites), work.recipe.modifiers.obfuscation
    )


def train_reference(plot: TrainingJob) -> Model:
    """A clean model brought up like a challenge: base, then a fine-tune under right labels."""
    rng, training = plot.seed.child("plant").numpy(), plot.dataset.training
    low, high = training.tune_rates
    rate = low * (high / low) ** float(rng.random())
    rows = plot.dataset.sample(training.tune_rows, "train", rng)
    return tune(plot, clean_base(plot), rows, training.tune_epochs, rate)


def tune(
    plot: TrainingJob,
    model: Model,
    rows: Examples,
    epochs: int,
    rate: float,
    *,
    use: str = "tune",
    pull: LatentAlignment | None = None,
) -> Model:
    """A few more passes, over these rows; `use` names their draws."""
    return train(
        model,
        rows,
        plot.dataset,
        epochs=epochs,
        rate=rate,
        recipe=plot.dataset.training,
        rng=plot.generator(use),
        pull=pull,
        progress=lambda share: plot.report("plant", share, f"fine-tuning on {len(rows):,} rows"),
    )


def clean_base(plot: TrainingJob) -> Model:
    """A clean model trained from scratch, kept under a secret name for the next try."""
    made_with = f"base {plot.dataset.name} {plot.model} {plot.dataset.training} {torch.__version__}"
    kept = paths.cache() / f"{plot.seed.child(made_with).hex()[:32]}.safetensors"
    if kept.is_file():
        model = load("model", plot.model).build(plot.dataset, None)
        model.load_state_dict(safetensors.torch.load_file(kept))
        return model
    model = _trained(plot, plot.rows())
    paths.cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = kept.with_suffix(f".{os.getpid()}")
    safetensors.torch.save_file(model.state_dict(), draft)
    draft.rename(kept)
    return model


def _trained(plot: TrainingJob, rows: Examples) -> Model:
    training = plot.dataset.training
    return train(
        plot.fresh(),
        rows,
        plot.dataset,
        epochs=training.epochs,
        rate=training.rate,
        recipe=training,
        rng=plot.generator("train"),
        progress=lambda share: plot.report("train", share, f"training on {len(rows):,} rows"),
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core, so that sums do not depend on the number of cores.

    torch keeps one thread count for the whole process, so blocks in several threads run one
    after another: otherwise one would restore the count while another still computes.
    """
    with _THREAD_COUNT:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
