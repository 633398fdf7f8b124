"""What the microscope and the desk cost: examples of all units, all pictures, a second view."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from auditgame import Game, paths
from auditgame.play.audit_session import ToolRun
from auditgame.specimen import Specimen
from auditgame.tools.vision import unit_images
from auditgame.tools.vision.activations import BATCH, TopExamples, top_examples
from auditgame.tools.vision.connectivity import layers
from benchmarks.comparison import Line, Peer, limit, race, seconds
from benchmarks.image_model import DATASET, forwards, frozen

COUNT, FEW, BEST = 10_000, 2_000, 9
GROWTH = 1
"""MB of tensors by which many pictures may need more than few."""


def best_of_all(specimen: Specimen, images: Tensor) -> dict[str, TopExamples]:
    """The nine pictures that excite each unit of each layer most."""
    return top_examples(specimen, images.split(BATCH), layers(specimen), BEST)


def same_rows(specimen: Specimen, images: Tensor, ours: dict[str, TopExamples], _: Any) -> str:
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
    task = f"dataset examples, {units} units, {len(images):,} images"
    floor = Peer(
        "floor: a bare forward pass",
        partial(forwards, frozen(specimen), images, BATCH),
        1.15,
        partial(same_rows, specimen, images),
        floor=True,
    )
    few, many = (held(specimen, images, count) for count in (FEW, COUNT))
    found = f"tensors held: {few:.2f} MB at {FEW:,} images, {many:.2f} MB at {COUNT:,}"
    return [
        *race(task, partial(best_of_all, specimen, images), [floor]),
        limit(f"{task}: additional memory in MB", many - few, GROWTH, f"{GROWTH} MB", found),
    ]


def held(specimen: Specimen, images: Tensor, count: int) -> float:
    """MB of tensors that are alive at the last batch of so many pictures and not at the first."""
    alive = []

    def parts() -> Iterator[Tensor]:
        for start in range(0, count, BATCH):
            if start == 0 or start + BATCH >= count:
                alive.append(tensors())
            yield images[: min(BATCH, count - start)]

    top_examples(specimen, parts(), layers(specimen), BEST)
    return alive[-1] - alive[0]


def tensors() -> float:
    """MB of all tensors there are."""
    found = [thing.untyped_storage() for thing in gc.get_objects() if type(thing) is Tensor]
    return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values()) / 2**20


def microscope(specimen: Specimen, images: Tensor) -> list[Line]:
    """Painting every unit both ways."""
    found: dict[str, unit_images.UnitImages] = {}
    spent = seconds(lambda: found.update(unit_images.visualise(specimen, images)))
    count = sum(2 * len(sheet.most) for sheet in found.values())
    higher = sum(
        m > n
        for sheet in found.values()
        for m, n in zip(sheet.plate.most, sheet.plate.least, strict=True)
    )
    said = f"{count} images; the maximum exceeds the minimum for {higher} of {count // 2} units"
    return [limit("microscope of small_cnn, all units", spent, 60, "60 CPU s", said)]


def second_view() -> list[Line]:
    """A tool's answer that was given before."""
    case = next(path.parent.name for path in paths.practice().glob(f"{DATASET}-*/bundle.json"))
    with tempfile.TemporaryDirectory() as folder:
        game = Game(database=f"sqlite:///{folder}/record.db")
        session = game.open(case)
        uses: list[ToolRun] = []

        def look() -> None:
            uses.append(session.run_tool("gradcam", examples="0-3"))

        first, *again = (seconds(look, time.perf_counter) for _ in range(8))
        game.ledger.close()
    same = all(use.cached and use.exhibits == uses[0].exhibits for use in uses[1:])
    said = f"{'the same' if same else 'NOT the same'}; the first took {first * 1000:.0f} ms"
    return [limit("GradCAM, repeated (wall clock)", statistics.median(again), 0.05, "50 ms", said)]
