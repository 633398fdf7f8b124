"""Our image tools against the libraries their users know: `make bench`, which writes docs/bench.md.

One run, one thread, one model (a clean sibling of storybook, 97,000 parameters), all taking
turns; the peers get the same weights as a plain network with a module for every layer.
A floor is the passes through the network that the task cannot do without.
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
from benchmarks import explaining, inverting, looking, painting
from benchmarks.network import DATASET, MODEL, plain
from benchmarks.race import Line, table

PICTURES = 64
PAGE = """# Beside the peers

Made by `make bench`, in one run: all entrants take turns on one thread, on the same network
(`small_cnn`, a clean sibling of storybook; the inversion on a patched one). CPU seconds, the
median over the turns. Ratio: how many times longer the peer takes; beside a floor or a limit,
how many times longer than it we take.

{versions}.

{table}"""


def versions() -> str:
    """What was raced."""
    names = ("auditgame", "torch", "captum", "grad-cam", "torch-lucent")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{found}; Python {platform.python_version()}, {platform.machine()}, one thread"


def main() -> None:
    """Race, print, and write docs/bench.md."""
    torch.set_num_threads(1)
    dataset = load("dataset", DATASET)()
    specimen = read_references(DATASET, MODEL, dataset)[0]
    pool = dataset.sample(looking.COUNT, "held", np.random.default_rng(0))
    network, rows = plain(specimen), pool.take(slice(PICTURES))
    races: list[Callable[[], list[Line]]] = [
        partial(explaining.lines, specimen, network, rows),
        partial(painting.lines, specimen, network, rows.inputs),
        partial(inverting.lines, rows),
        partial(looking.examples, specimen, pool.inputs),
        partial(looking.microscope, specimen, rows.inputs),
        looking.second_view,
    ]
    lines: list[Line] = []
    for run in races:
        lines += run()
        print(table(lines[-1:]).splitlines()[-1], flush=True)
    page = PAGE.format(versions=versions(), table=table(lines))
    (paths.checkout() / "docs" / "bench.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
