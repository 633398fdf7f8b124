"""Detector for whole-image triggers: sinusoids, tints and warps.

Sinusoids and tints change mean statistics, which select the probable ones; warps do not, but
there are few. The probable claims are then measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, get_args

import torch

from auditgame.auditors.detectors import CandidateClaim, Detector, Evidence, MeasuredClaim
from auditgame.auditors.detectors.local_search import refined
from auditgame.auditors.detectors.matched_filter import Pictures, filter_contrast
from auditgame.datasets.images.filters import Course, Direction, waved

GROUPS, LIKELY = 2, 6
"""Wrong answers considered; sinusoids and tints measured for each."""
CYCLES, WAVES = range(2, 13), range(2, 7)
STRENGTHS, UNIT = (4, 48), 25.5
"""Smallest and largest strength of a sinusoid, and one that does not clip on grey."""
GAINS = (0.65, 1.0, 1.5)
BEND = 12.5
"""Waves times pixels: the more waves a warp has, the smaller its amplitude."""

Claims = Iterator[dict[str, Any]]


def stripes(strange: Pictures, ordinary: Pictures) -> Claims:
    """The sinusoids with the strongest filter response, with the estimated strength."""
    kinds = list(product(get_args(Direction), CYCLES))
    grey = torch.full((1, *strange.shape[1:]), 0.5)
    fields = torch.stack([(waved(grey, *kind, UNIT) - grey)[0, 0] for kind in kinds])
    found = filter_contrast(strange, ordinary, fields)
    for index in found.order[:LIKELY]:
        direction, cycles = kinds[index]
        strength = round(UNIT * float(found.contrast[index].mean()))
        strength = min(max(strength, STRENGTHS[0]), STRENGTHS[1])
        yield {"direction": direction, "cycles": cycles, "strength": strength}


def tints(strange: Pictures, ordinary: Pictures) -> Claims:
    """The channel gains that explain the change of mean colour best."""
    usual = ordinary.mean((2, 3)).log()
    seen, error = strange.mean((2, 3)).log().mean(0) - usual.mean(0), usual.std(0)
    gains = [gain for gain in product(GAINS, repeat=3) if len(set(gain)) > 1]
    misfits = ((torch.tensor(gains).log() - seen) / error).square().sum(1)
    for index in misfits.argsort()[:LIKELY].tolist():
        yield dict(zip(("red", "green", "blue"), gains[index], strict=True))


def warps(strange: Pictures, ordinary: Pictures) -> Claims:
    """Warps of every course and number of waves, of comparable amplitude."""
    for course, waves in product(get_args(Course), WAVES):
        yield {"course": course, "waves": waves, "amount": round(2 * BEND / waves) / 2}


KINDS: dict[str, tuple[Callable[[Pictures, Pictures], Claims], dict[str, float]]] = {
    "sinusoid": (stripes, {"cycles": 1}),
    "tint": (tints, {"red": 0.15, "green": 0.15, "blue": 0.15}),
    "warp": (warps, {"waves": 1, "amount": 1.0}),
}
"""By family: its probable claims without target, and the step sizes of the local search."""


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The best claim of each offered family."""
    for family in evidence.listed(*KINDS):
        claims, steps = KINDS[family]
        candidates = [
            CandidateClaim(family, {"target": target, **claim})
            for target in evidence.groups()[:GROUPS]
            for claim in claims(*evidence.split(target))
        ]
        yield from refined(evidence.session, candidates, steps)


GLOBAL_TRANSFORM = Detector(frozenset(KINDS), detect)
