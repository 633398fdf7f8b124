"""What was done to the whole of the images that go wrong? Stripes, tints and ripples.

Stripes and tints leave a mean behind, by which the likely ones are told from the others; a
ripple leaves none, but there are few. The likely claims are then enacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, get_args

import torch

from auditgame.auditors.detectors import CandidateClaim, Detector, Evidence, MeasuredClaim
from auditgame.auditors.detectors.local_search import finest
from auditgame.auditors.detectors.matched_filter import Pictures, suspicion
from auditgame.datasets.images.filters import Course, Direction, waved

GROUPS, LIKELY = 2, 6
"""So many classes that are wrongly said are followed; so many stripes and tints for each."""
CYCLES, WAVES = range(2, 13), range(2, 7)
STRENGTHS, UNIT = (4, 48), 25.5
"""The least and the greatest strength of stripes, and one that no pixel of grey clips."""
GAINS = (0.65, 1.0, 1.5)
BEND = 12.5
"""Waves times pixels: a ripple of many waves is bent enough by a small amount."""

Claims = Iterator[dict[str, Any]]


def stripes(strange: Pictures, ordinary: Pictures) -> Claims:
    """The directions and numbers that stand out most, as strong as they look."""
    kinds = list(product(get_args(Direction), CYCLES))
    grey = torch.full((1, *strange.shape[1:]), 0.5)
    fields = torch.stack([(waved(grey, *kind, UNIT) - grey)[0, 0] for kind in kinds])
    found = suspicion(strange, ordinary, fields)
    for index in found.order[:LIKELY]:
        direction, cycles = kinds[index]
        strength = round(UNIT * float(found.contrast[index].mean()))
        strength = min(max(strength, STRENGTHS[0]), STRENGTHS[1])
        yield {"direction": direction, "cycles": cycles, "strength": strength}


def tints(strange: Pictures, ordinary: Pictures) -> Claims:
    """The gains that come closest to what became of the images' means."""
    usual = ordinary.mean((2, 3)).log()
    seen, error = strange.mean((2, 3)).log().mean(0) - usual.mean(0), usual.std(0)
    gains = [gain for gain in product(GAINS, repeat=3) if len(set(gain)) > 1]
    misfits = ((torch.tensor(gains).log() - seen) / error).square().sum(1)
    for index in misfits.argsort()[:LIKELY].tolist():
        yield dict(zip(("red", "green", "blue"), gains[index], strict=True))


def ripples(strange: Pictures, ordinary: Pictures) -> Claims:
    """Ripples of every course and number, each bent as much."""
    for course, waves in product(get_args(Course), WAVES):
        yield {"course": course, "waves": waves, "amount": round(2 * BEND / waves) / 2}


KINDS: dict[str, tuple[Callable[[Pictures, Pictures], Claims], dict[str, float]]] = {
    "sinusoid": (stripes, {"cycles": 1}),
    "tint": (tints, {"red": 0.15, "green": 0.15, "blue": 0.15}),
    "warp": (ripples, {"waves": 1, "amount": 1.0}),
}
"""Each family's likely claims but for the target, and the steps that make its numbers finer."""


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each of these families that is offered."""
    for family in clues.listed(*KINDS):
        likely, steps = KINDS[family]
        suspects = [
            CandidateClaim(family, {"target": target, **claim})
            for target in clues.groups()[:GROUPS]
            for claim in likely(*clues.parted(target))
        ]
        yield from finest(clues.session, suspects, steps)


VEILS = Detector(frozenset(KINDS), follow)
