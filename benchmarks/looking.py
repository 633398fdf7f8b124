"""What the microscope and the desk cost: examples of all units, all pictures, a second view."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auditgame import Game, places, sheets
from auditgame.catalog import load
from auditgame.desk import Use
from auditgame.readout import BATCH, Leaders, leading
from auditgame.siblings import read_siblings
from auditgame.specimen import Specimen
from auditgame.wiring import layers
from benchmarks.network import DATASET, MODEL, forwards, frozen
from benchmarks.race import Line, Peer, limit, race, seconds

COUNT, FEW, BEST = 10_000, 2_000, 9
GROWTH = 32
"""MB by which the peak may differ between few pictures and many."""


def best_of_all(specimen: Specimen, images: Tensor) -> dict[str, Leaders]:
    """The nine pictures that excite each unit of each layer most."""
    return leading(specimen, images.split(BATCH), layers(specimen), BEST)


def same_rows(specimen: Specimen, images: Tensor, ours: dict[str, Leaders], _: Any) -> str:
    """How many of the leaders are those of a full sort of all peaks?"""
    same = total = 0
    for site, best in ours.items():
        parts = [specimen.run(part, [site]).kept[site] for part in images.split(BATCH)]
        peaks = torch.cat([part.amax((2, 3)) for part in parts])
        wanted = peaks.argsort(dim=0, descending=True, stable=True)[:BEST].T
        same, total = same + int((best.rows == wanted).sum()), total + wanted.numel()
    return f"{same:,} of {total:,} as by a full sort"


def examples(specimen: Specimen, images: Tensor) -> list[Line]:
    """All units of all layers in one pass, beside a bare forward pass; and what it holds."""
    units = sum(specimen.site(site).units for site in layers(specimen))
    task = f"dataset examples, {units} units, {len(images):,} pictures"
    floor = Peer(
        "floor: a bare forward pass",
        partial(forwards, frozen(specimen), images, BATCH),
        1.15,
        partial(same_rows, specimen, images),
        floor=True,
    )
    few, many = (peak_memory(count) for count in (FEW, COUNT))
    found = f"peak {few:.0f} MB at {FEW:,} pictures, {many:.0f} MB at {COUNT:,}"
    return [
        *race(task, partial(best_of_all, specimen, images), [floor]),
        limit(f"{task}: memory", abs(many - few), GROWTH, f"{GROWTH} MB more", found),
    ]


def peak_memory(count: int) -> float:
    """The most memory, in MB, of a process that looks for the leaders of so many pictures."""
    command = [sys.executable, "-m", "benchmarks.looking", str(count)]
    told = subprocess.run(command, cwd=places.home(), check=True, capture_output=True, text=True)
    return float(told.stdout)


def stream(images: Tensor, count: int) -> Iterator[Tensor]:
    """So many pictures, batch by batch: the same few again and again."""
    for start in range(0, count, BATCH):
        yield images[: min(BATCH, count - start)]


def microscope(specimen: Specimen, images: Tensor) -> list[Line]:
    """Painting every unit both ways."""
    found: dict[str, sheets.Sheet] = {}
    spent = seconds(lambda: found.update(sheets.paint(specimen, images)))
    count = sum(2 * len(sheet.most) for sheet in found.values())
    higher = sum(
        m > n
        for sheet in found.values()
        for m, n in zip(sheet.plate.most, sheet.plate.least, strict=True)
    )
    said = f"{count} pictures; for {higher} of {count // 2} units the most is above the least"
    return [limit("microscope of a whole small_cnn", spent, 60, "60 CPU s", said)]


def second_view() -> list[Line]:
    """A tool's answer that was given before."""
    case = next(path.parent.name for path in places.practice().glob(f"{DATASET}-*/bundle.json"))
    with tempfile.TemporaryDirectory() as folder:
        game = Game(database=f"sqlite:///{folder}/record.db")
        desk = game.sit(case)
        uses: list[Use] = []

        def look() -> None:
            uses.append(desk.use("gradcam", examples="0-3"))

        first, *again = (seconds(look, time.perf_counter) for _ in range(8))
        game.ledger.close()
    same = all(use.cached and use.exhibits == uses[0].exhibits for use in uses[1:])
    said = f"{'the same' if same else 'NOT the same'}; the first took {first * 1000:.0f} ms"
    return [
        limit("GradCAM asked again (wall clock)", statistics.median(again), 0.05, "50 ms", said)
    ]


def main() -> None:
    """In a process of its own: find leaders, and say how much memory that took at most."""
    torch.set_num_threads(1)
    dataset = load("dataset", DATASET)()
    specimen = read_siblings(DATASET, MODEL, dataset)[0]
    images = dataset.sample(BATCH, "held", np.random.default_rng(0)).inputs
    leading(specimen, stream(images, int(sys.argv[1])), layers(specimen), BEST)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (2**20 if sys.platform == "darwin" else 2**10))


if __name__ == "__main__":
    main()
