"""Our image tools against the libraries their users know: `make bench`.

One run, one thread, one model (a clean sibling of storybook, 97,000 parameters), all taking
turns; the peers get the same weights as a plain network with a module for every layer.
A floor is the passes through the network that the task cannot do without. Writes
docs/results/performance.md.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from auditgame import paths
from auditgame.bundles.reference_models import read_references
from auditgame.registry import load
from benchmarks import attribution, dataset_examples, feature_visualisation, trigger_inversion
from benchmarks.comparison import Line, table
from benchmarks.image_model import DATASET, MODEL, plain

PICTURES = 64
PAGE = """# Performance of image tools

Made by `make bench` in one run: all implementations alternate on one thread, on the same network
(`small_cnn`, a reference model of storybook; for the inversion, a model with a patch). Times are
CPU seconds, the median over the rounds. Ratio: the other implementation's time divided by ours;
for a floor or a limit, our time divided by it. A floor is the passes through the network that the
task cannot do without.

{versions}.

{table}"""


def versions() -> str:
    """What was raced."""
    names = ("auditgame", "torch", "captum", "grad-cam", "torch-lucent")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{found}; Python {platform.python_version()}, {platform.machine()}, one thread"


def main() -> None:
    """Race, print, and write docs/results/performance.md."""
    torch.set_num_threads(1)
    dataset = load("dataset", DATASET)()
    specimen = read_references(DATASET, MODEL, dataset)[0]
    pool = dataset.sample(dataset_examples.COUNT, "held", np.random.default_rng(0))
    network, rows = plain(specimen), pool.take(slice(PICTURES))
    races: list[Callable[[], list[Line]]] = [
        partial(attribution.lines, specimen, network, rows),
        partial(feature_visualisation.lines, specimen, network, rows.inputs),
        partial(trigger_inversion.lines, rows),
        partial(dataset_examples.examples, specimen, pool.inputs),
        partial(dataset_examples.microscope, specimen, rows.inputs),
        dataset_examples.second_view,
    ]
    lines: list[Line] = []
    for run in races:
        lines += run()
        print(table(lines[-1:]).splitlines()[-1], flush=True)
    page = PAGE.format(versions=versions(), table=table(lines))
    (paths.checkout() / "docs" / "results" / "performance.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
