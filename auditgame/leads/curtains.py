"""Which motif shimmers through the pictures that go wrong?

There are too many motifs, sizes and colours to try them all. But a share of a motif, blended
in, stands in every picture alike: each is held against the pictures, to see where those
that go wrong differ from the ordinary ones. The likeliest are then enacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import NamedTuple, get_args

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from auditgame.claims import rgb
from auditgame.filters import Motif, motif
from auditgame.leads import Clues, Lead, Suspect, Tried
from auditgame.leads.trying import finest
from auditgame.stamps import PALETTE

SIZES = range(4, 25)
ALPHAS = (0.2, 0.25, 0.3)
GROUPS, MOTIFS, COLOURS = 2, 4, 4
"""So many classes that are wrongly said are followed; so many motifs for each; so many pairs
of colours for each of those."""
STEPS = {"size": 1, "alpha": 0.04}


class Curtain(NamedTuple):
    """A motif, its period in pixels, and how surely it is there: squared deviations, summed."""

    name: Motif
    size: int
    surely: float


class Tones(NamedTuple):
    """Red, green and blue on which pictures are compared: means and standard errors."""

    contrast: Float[Tensor, " 3"]
    contrast_error: Float[Tensor, " 3"]
    level: Float[Tensor, " 3"]
    level_error: Float[Tensor, " 3"]
    ground: Float[Tensor, " 3"]
    covered: float


def follow(clues: Clues) -> Iterator[Tried]:
    """The likeliest motifs in the likeliest colours, for each class that is wrongly said."""
    suspects = [
        Suspect("blend", {"target": target, **claim})
        for target in clues.groups()[:GROUPS]
        for claim in _likeliest(
            clues.pool.inputs[list(clues.turned[target])], clues.pool.inputs[clues.ordinary]
        )
    ]
    yield from finest(clues.desk, suspects, STEPS)


def _likeliest(
    strange: Float[Tensor, "m 3 h w"], ordinary: Float[Tensor, "n 3 h w"]
) -> Iterator[dict[str, object]]:
    for curtain in hanging(strange, ordinary)[:MOTIFS]:
        for first, second, alpha in coloured(curtain, strange, ordinary)[:COLOURS]:
            told = {"motif": curtain.name, "size": curtain.size}
            yield {**told, "first": first, "second": second, "alpha": alpha}


def hanging(strange: Float[Tensor, "m 3 h w"], ordinary: Float[Tensor, "n 3 h w"]) -> list[Curtain]:
    """Every motif in every size, the surest first."""
    kinds = list(product(get_args(Motif), SIZES))
    fields = torch.stack([motif(name, size, *strange.shape[2:]) for name, size in kinds])
    here, usual = weighed(strange, fields), weighed(ordinary, fields)
    error = usual.std(0) / len(strange) ** 0.5
    surely = ((here.mean(0) - usual.mean(0)) / error).square().sum(0)
    found = [Curtain(*kind, sure) for kind, sure in zip(kinds, surely.tolist(), strict=True)]
    return sorted(found, key=lambda curtain: -curtain.surely)


def weighed(
    pictures: Float[Tensor, "n 3 h w"], fields: Float[Tensor, "k h w"]
) -> Float[Tensor, "n 3 k"]:
    """How much of each field is in each channel of each picture? Least squares, one by one."""
    flat = rearrange(fields, "k h w -> k (h w)")
    flat = flat - flat.mean(1, keepdim=True)
    pixels = rearrange(pictures, "n c h w -> n c (h w)")
    return einsum(pixels, flat, "n c p, k p -> n c k") / flat.square().sum(1)


def coloured(
    curtain: Curtain, strange: Float[Tensor, "m 3 h w"], ordinary: Float[Tensor, "n 3 h w"]
) -> list[tuple[str, str, float]]:
    """Pairs of the palette's colours with the share that fits best, the likeliest first."""
    tones = _tones(curtain, strange, ordinary)
    odds = {}
    for pair in permutations(PALETTE, 2):
        fits = {alpha: _misfit(tones, pair, alpha) for alpha in ALPHAS}
        alpha = min(fits, key=lambda share: fits[share])
        odds[*pair, alpha] = fits[alpha]
    return sorted(odds, key=lambda told: odds[told])


def _tones(
    curtain: Curtain, strange: Float[Tensor, "m 3 h w"], ordinary: Float[Tensor, "n 3 h w"]
) -> Tones:
    field = motif(curtain.name, curtain.size, *strange.shape[2:])
    here, usual = (weighed(pictures, field[None])[..., 0] for pictures in (strange, ordinary))
    level, ground = strange.mean((2, 3)), ordinary.mean((2, 3))
    root = len(strange) ** 0.5
    return Tones(
        contrast=here.mean(0) - usual.mean(0),
        contrast_error=usual.std(0) / root,
        level=level.mean(0),
        level_error=ground.std(0) / root,
        ground=ground.mean(0),
        covered=float(field.mean()),
    )


def _misfit(tones: Tones, pair: tuple[str, str], alpha: float) -> float:
    """How far would pictures under this curtain be from those that were seen?"""
    first, second = (torch.tensor(rgb(colour)) / 255 for colour in pair)
    level = tones.ground.lerp(second.lerp(first, tones.covered), alpha)
    contrast = (alpha * (first - second) - tones.contrast) / tones.contrast_error
    return float(
        contrast.square().sum() + ((level - tones.level) / tones.level_error).square().sum()
    )


CURTAINS = Lead(frozenset({"blend"}), follow)
