"""Our text tools against TransformerLens and plain loops: writes docs/results/performance-text.md.

A part of `make bench`. One run, one thread, all entrants in turn, the same weights on both
sides; a floor is what the task cannot do without.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

import numpy as np
import torch

from auditgame import paths
from auditgame.tools import ToolContext
from benchmarks import logit_lens, patching_grid, text_models, word_sweep
from benchmarks.comparison import Line, table

WORDS = 40
"""Length of the text, on both models."""
PAGE = """# Performance of text tools

Made by `make bench` in one run: all implementations alternate on one thread, on the same weights.
The small model is a reference model of reviews (`gpt2`); the large one has the size of GPT-2 (124
million weights, 50,257 words) and random weights. Times are CPU seconds, the median over the
rounds. Ratio: the other implementation's time divided by ours; for a floor, our time divided by it.

{versions}.

{table}"""


def versions() -> str:
    """What was raced."""
    names = ("auditgame", "torch", "transformer-lens")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{found}; Python {platform.python_version()}, {platform.machine()}, one thread"


def on_the_small(words: int = WORDS, texts: int = 8) -> Iterator[list[Line]]:
    """Lens, patching and sweep on the small model."""
    specimen = text_models.small()
    dataset, rng = specimen.dataset, np.random.default_rng(0)
    pool = dataset.sample(120, "pool", rng)
    long = pool.inputs[dataset.lengths(pool.inputs) >= words][:2, :words]
    model = text_models.hooked(specimen._model)
    goals = {"full": 4, "filtered": 2.5, "shown": 4}
    yield logit_lens.lines(specimen, model, long[0], "small", goals)
    yield patching_grid.lines(specimen, model, *long, "small")
    yield word_sweep.lines(specimen, ToolContext(dataset, pool), texts)


def on_the_large(words: int = WORDS) -> Iterator[list[Line]]:
    """The lens on a model of GPT-2's size."""
    specimen = text_models.large()
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(2, len(specimen.dataset.words), (words,), generator=rng)
    model = text_models.hooked(specimen._model)
    goals = {"full": 1, "filtered": 1, "shown": 4}
    yield logit_lens.lines(specimen, model, ids, "GPT-2 size", goals)


def main() -> None:
    """Race, print, and write docs/results/performance-text.md."""
    torch.set_num_threads(1)
    lines: list[Line] = []
    for races in (on_the_small(), on_the_large()):
        for found in races:
            lines += found
            print(table(found), flush=True)
    page = PAGE.format(versions=versions(), table=table(lines))
    (paths.checkout() / "docs" / "results" / "performance-text.md").write_text(page)


if __name__ == "__main__":
    main()
