"""Detector for blend triggers.

There are too many motifs, sizes and colours to measure all claims. A blended motif is the same
in every triggered image, so matched filters find the motifs by which wrongly answered images
differ from the others. The most probable claims are then measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.auditors.detectors import CandidateClaim, Detector, Evidence, MeasuredClaim
from auditgame.auditors.detectors.local_search import refined
from auditgame.auditors.detectors.matched_filter import Pictures, filter_contrast
from auditgame.datasets.images.filters import Motif, motif
from auditgame.flaws.triggers.trigger_patterns import PALETTE
from auditgame.schema.graders import rgb

SIZES = range(4, 25)
ALPHAS = (0.2, 0.25, 0.3)
GROUPS, MOTIFS, COLOURS = 2, 3, 3
"""Wrong answers considered; motifs for each; pairs of colours for each motif."""
STEPS = {"size": 1, "alpha": 0.04}


class Tones(NamedTuple):
    """The statistics that a motif's colours must explain, in red, green and blue.

    contrast: the filter response. level: mean colour of the wrongly answered images. ground:
    that of the others. covered: the motif's share of its first colour.
    """

    contrast: Float[Tensor, " 3"]
    contrast_error: Float[Tensor, " 3"]
    level: Float[Tensor, " 3"]
    level_error: Float[Tensor, " 3"]
    ground: Float[Tensor, " 3"]
    covered: float


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """The most probable motifs and colours, for each wrong answer."""
    candidates = [
        CandidateClaim("blend", {"target": target, **claim})
        for target in evidence.groups()[:GROUPS]
        for claim in most_probable(*evidence.split(target))
    ]
    yield from refined(evidence.session, candidates, STEPS)


def most_probable(strange: Pictures, ordinary: Pictures) -> Iterator[dict[str, Any]]:
    """The most probable claims of a blend, without their target."""
    kinds = list(product(get_args(Motif), SIZES))
    fields = torch.stack([motif(name, size, *strange.shape[2:]) for name, size in kinds])
    found, ground = filter_contrast(strange, ordinary, fields), ordinary.mean((2, 3))
    for index in found.order[:MOTIFS]:
        tones = Tones(
            contrast=found.contrast[index],
            contrast_error=found.error[index],
            level=strange.mean((0, 2, 3)),
            level_error=ground.std(0) / len(strange) ** 0.5,
            ground=ground.mean(0),
            covered=float(fields[index].mean()),
        )
        name, size = kinds[index]
        for first, second, alpha in colour_pairs(tones)[:COLOURS]:
            yield {"motif": name, "size": size, "first": first, "second": second, "alpha": alpha}


def colour_pairs(tones: Tones) -> list[tuple[str, str, float]]:
    """Pairs of palette colours with the best-fitting share, the best first."""
    misfits = {}
    for first, second in permutations(PALETTE, 2):
        fits = {alpha: _misfit(tones, first, second, alpha) for alpha in ALPHAS}
        alpha = min(fits, key=lambda share: fits[share])
        misfits[first, second, alpha] = fits[alpha]
    return sorted(misfits, key=lambda claim: misfits[claim])


def _misfit(tones: Tones, first: str, second: str, alpha: float) -> float:
    """Squared deviations of the observed statistics from those of this blend."""
    one, two = (torch.tensor(rgb(colour)) / 255 for colour in (first, second))
    level = tones.ground.lerp(two.lerp(one, tones.covered), alpha)
    contrast = (alpha * (one - two) - tones.contrast) / tones.contrast_error
    return float((contrast**2).sum() + (((level - tones.level) / tones.level_error) ** 2).sum())


BLEND = Detector(frozenset({"blend"}), detect)
