"""Which motif shimmers through the images that go wrong?

There are too many motifs, sizes and colours to try them all. But a share of a motif, blended
in, stands in every image alike: each is held against the images, to see where those
that go wrong differ from the ordinary ones. The likeliest are then enacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.auditors.detectors import CandidateClaim, Detector, Evidence, MeasuredClaim
from auditgame.auditors.detectors.local_search import finest
from auditgame.auditors.detectors.matched_filter import Pictures, suspicion
from auditgame.datasets.images.filters import Motif, motif
from auditgame.flaws.triggers.trigger_patterns import PALETTE
from auditgame.schema.graders import rgb

SIZES = range(4, 25)
ALPHAS = (0.2, 0.25, 0.3)
GROUPS, MOTIFS, COLOURS = 2, 3, 3
"""So many classes that are wrongly said are followed; so many motifs for each; so many pairs
of colours for each of those."""
STEPS = {"size": 1, "alpha": 0.04}


class Tones(NamedTuple):
    """What a motif's colours must explain, in red, green and blue, each with its error.

    contrast: how much of the motif there is. level: the mean of the images that go wrong;
    ground: that of the ordinary ones. covered: the share of the motif in its first colour.
    """

    contrast: Float[Tensor, " 3"]
    contrast_error: Float[Tensor, " 3"]
    level: Float[Tensor, " 3"]
    level_error: Float[Tensor, " 3"]
    ground: Float[Tensor, " 3"]
    covered: float


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """The likeliest motifs in the likeliest colours, for each class that is wrongly said."""
    suspects = [
        CandidateClaim("blend", {"target": target, **claim})
        for target in clues.groups()[:GROUPS]
        for claim in likeliest(*clues.parted(target))
    ]
    yield from finest(clues.session, suspects, STEPS)


def likeliest(strange: Pictures, ordinary: Pictures) -> Iterator[dict[str, Any]]:
    """Claims of a blend, without their target."""
    kinds = list(product(get_args(Motif), SIZES))
    fields = torch.stack([motif(name, size, *strange.shape[2:]) for name, size in kinds])
    found, ground = suspicion(strange, ordinary, fields), ordinary.mean((2, 3))
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
        for first, second, alpha in coloured(tones)[:COLOURS]:
            yield {"motif": name, "size": size, "first": first, "second": second, "alpha": alpha}


def coloured(tones: Tones) -> list[tuple[str, str, float]]:
    """Pairs of the palette's colours with the share that fits best, the likeliest first."""
    misfits = {}
    for first, second in permutations(PALETTE, 2):
        fits = {alpha: _misfit(tones, first, second, alpha) for alpha in ALPHAS}
        alpha = min(fits, key=lambda share: fits[share])
        misfits[first, second, alpha] = fits[alpha]
    return sorted(misfits, key=lambda told: misfits[told])


def _misfit(tones: Tones, first: str, second: str, alpha: float) -> float:
    """How far would images under this curtain be from those that were seen?"""
    one, two = (torch.tensor(rgb(colour)) / 255 for colour in (first, second))
    level = tones.ground.lerp(two.lerp(one, tones.covered), alpha)
    contrast = (alpha * (one - two) - tones.contrast) / tones.contrast_error
    return float((contrast**2).sum() + (((level - tones.level) / tones.level_error) ** 2).sum())


CURTAINS = Detector(frozenset({"blend"}), follow)
