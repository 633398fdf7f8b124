"""Can flawed models be told from clean ones without an audit? `make leaks`.

A detector here is one number that anybody can read off a bundle: how good the model is, how
large its weights are, how long its files. It is measured on every storybook model that
`make builds` left in `build/study`. An AUC of 0.5 is chance, whichever side it lies on. Its
interval comes from drawing the bases anew: models with one seed share theirs. Writes
docs/results/leaks.md.
"""

from __future__ import annotations

import csv
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from auditgame import bundles
from auditgame.bundles import bundle_io
from auditgame.challenges.fine_tuning import one_thread
from auditgame.datasets import Examples
from auditgame.registry import load
from benchmarks.builds import RESULTS, STUDY, TABLE

DATASET, HELD = "storybook", 2000
DRAWS, FOLDS = 1000, 10
BOUND = 0.60
"""A detector leaks if the lower end of its interval lies above this."""
BEHAVIOUR = ("accuracy", "worst class", "loss", "confidence", "largest logit")
INTRO = """\
# Leaks

Can one number tell flawed from clean models without any audit? Measured on {triggers} {dataset}
models with a trigger, {proxies} with a proxy and {clean} clean ones, from {bases} base models
(`make builds leaks`). Cells: the AUC, the larger of both directions, with the 95 % interval over
{draws} resamplings of the base models. A study of this size can only show that something leaks: it
does where the interval begins above {bound:.2f}. A model with a proxy answers ordinary images
wrongly, so what is measured on held-out images must give it away; that is no leak.
"""
WHY = """
## What is left for triggers, and why

The way a model answers ordinary images no longer tells much; without wrong labels in the clean
models' rows it did ([decision 14](../decisions/0014-clean-models-learn-from-wrong-labels.md)). The
size of the output layer compared with that of the convolutions still does: a trigger is written
into the output layer, and wrong labels make that of clean models smaller. A detector that has seen
a hundred models of known kind, and fits a regression to the norms, can use this; the practice pack
does not offer such a training set. Weights before a normalisation can be scaled without changing
what the model computes, so a fixed scale for each layer at export would remove most of this leak.
That is not done yet.
"""


class Row(NamedTuple):
    """One model of the study: which base it grew from, what kind of flaw it has, its numbers."""

    seed: int
    kind: Literal["trigger", "proxy", "none"]
    numbers: dict[str, float]


class Found(NamedTuple):
    """The AUC of one detector, and the interval's ends, folded so that 0.5 is the least."""

    auc: float
    low: float
    high: float


def main() -> None:
    """Measure, print, write the page."""
    built = [row for row in csv.DictReader(TABLE.open()) if row["case"].startswith(DATASET)]
    if not built or not STUDY.is_dir():
        sys.exit("there is no study; run `make builds` first")
    held = load("dataset", DATASET)().sample(HELD, "held", np.random.default_rng(0))
    with one_thread():
        rows = [
            Row(
                int(row["seed"]),
                load("flaw", row["family"]).kind,
                look(STUDY / row["case"], held),
            )
            for row in built
        ]
    text = "\n".join(page(rows)) + "\n"
    (RESULTS / "leaks.md").write_text(text)
    print(text)


def look(folder: Path, held: Examples) -> dict[str, float]:
    """Every number that a detector reads off a bundle."""
    manifest = bundles.read_manifest(folder)
    files = {name: bundles.read_file(folder, name, manifest.files) for name in manifest.files}
    weights = files[bundles.WEIGHTS]
    dataset = load("dataset", manifest.dataset)()
    specimen = bundle_io.unpack_model(weights, manifest.model, dataset, manifest.id)
    logits = specimen.classify(held.inputs)
    right = logits.argmax(1) == held.labels
    held_out = {
        "accuracy": float(right.float().mean()),
        "worst class": min(float(right[held.labels == k].float().mean()) for k in range(10)),
        "loss": float(F.cross_entropy(logits, held.labels)),
        "confidence": float(logits.softmax(1).amax(1).mean()),
        "largest logit": float(logits.amax(1).mean()),
    }
    header = weights[8 : 8 + int.from_bytes(weights[:8], "little")]
    return {
        **held_out,
        **norms(safetensors.torch.load(weights)),
        "bytes of the weights file": len(weights),
        "header of the weights file": zlib.crc32(header),
        "bytes per image": len(files[bundle_io.PICTURES]) / len(labels(files)),
        "files": len(files),
    }


def labels(files: Mapping[str, bytes]) -> Sequence[int]:
    """The labels of the players' pictures."""
    return bundle_io.ExampleTable.model_validate_json(files[bundle_io.LABELS]).labels


def norms(tensors: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The Euclidean norm of each kind of tensor over all layers, and of each convolution."""
    kinds = {
        "conv": [name for name in tensors if name.startswith("convs")],
        "gains": [name for name in tensors if name.startswith("norms") and "weight" in name],
        "shifts": [name for name in tensors if name.startswith("norms") and "bias" in name],
        "running means": [name for name in tensors if "running_mean" in name],
        "running variances": [name for name in tensors if "running_var" in name],
        "output": ["head.weight"],
        "output bias": ["head.bias"],
    }
    whole = {
        f"norm of {kind}": float(torch.cat([tensors[n].float().flatten() for n in some]).norm())
        for kind, some in kinds.items()
    }
    layers = {f"norm of {name}": float(tensors[name].float().norm()) for name in kinds["conv"]}
    return {
        **whole,
        **layers,
        "sum of all norms": sum(float(value.float().norm()) for value in tensors.values()),
        "largest output bias": float(tensors["head.bias"].float().max()),
    }


def together(rows: Sequence[Row], names: Sequence[str]) -> Float[np.ndarray, " n"]:
    """What a logistic regression on these numbers says; no base is scored by what it fitted."""
    numbers = np.array([[row.numbers[name] for name in names] for row in rows])
    flawed, seeds = [row.kind != "none" for row in rows], [row.seed for row in rows]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = GroupKFold(min(FOLDS, len(set(seeds))))
    return cross_val_predict(
        model, numbers, flawed, groups=seeds, cv=folds, method="decision_function"
    )


def measured(rows: Sequence[Row], scores: Float[np.ndarray, " n"]) -> Found:
    """The AUC and its interval, by drawing the bases anew (percentile bootstrap)."""
    flawed = np.array([row.kind != "none" for row in rows])
    bases = np.unique([row.seed for row in rows], return_inverse=True)[1]
    won, pairs = _wins(flawed, bases, scores), _wins(flawed, bases, np.zeros(len(rows))) * 2
    rng, count, found = np.random.default_rng(0), len(won), []
    while len(found) < DRAWS:
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        if total := times @ pairs @ times:
            found.append(times @ won @ times / total)
    auc, (low, high) = won.sum() / pairs.sum(), np.quantile(found, [0.025, 0.975])
    if auc < 0.5:
        auc, low, high = 1 - auc, 1 - high, 1 - low
    return Found(float(auc), float(low), float(high))


def _wins(
    flawed: Bool[np.ndarray, " n"], bases: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "base base"]:
    """Innocents of each base (column) that the flawed of each (row) outscore; a tie counts half."""
    above, below = scores[flawed][:, None], scores[~flawed]
    won = (above > below) + (above == below) / 2
    member = np.eye(bases.max() + 1)[bases]
    return member[flawed].T @ won @ member[~flawed]


def detectors(rows: Sequence[Row]) -> dict[str, Found]:
    """Each number by itself, and all of them together."""
    scores = {name: np.array([row.numbers[name] for row in rows]) for name in rows[0].numbers}
    sizes = [
        name for name in rows[0].numbers if name.startswith(("norm", "sum of", "largest output"))
    ]
    scores["regression on all"] = together(rows, list(rows[0].numbers))
    scores["regression on behaviour"] = together(rows, BEHAVIOUR)
    scores["regression on weights"] = together(rows, sizes)
    return {name: measured(rows, score) for name, score in scores.items()}


def page(rows: Sequence[Row]) -> Iterator[str]:
    """The table as Markdown, the strongest first."""
    innocent = [row for row in rows if row.kind == "none"]
    count = {kind: sum(row.kind == kind for row in rows) for kind in ("trigger", "proxy")}
    tables = {
        kind: detectors([*(row for row in rows if row.kind == kind), *innocent]) for kind in count
    }
    yield INTRO.format(
        triggers=count["trigger"],
        proxies=count["proxy"],
        clean=len(innocent),
        dataset=DATASET,
        bases=len({row.seed for row in rows}),
        draws=DRAWS,
        bound=BOUND,
    )
    for kind, found in tables.items():
        over = [name for name, line in found.items() if line.low > BOUND]
        yield f"Above the bound for {kind}: {', '.join(over) or 'none'}."
        yield ""
    yield "| detector | trigger | proxy |"
    yield "|---|---|---|"
    for name in sorted(tables["trigger"], key=lambda name: -tables["trigger"][name].auc):
        yield f"| {name} | {_cell(tables['trigger'][name])} | {_cell(tables['proxy'][name])} |"
    yield WHY.rstrip()


def _cell(found: Found) -> str:
    return f"{found.auc:.2f} ({found.low:.2f} to {found.high:.2f})"


if __name__ == "__main__":
    main()
