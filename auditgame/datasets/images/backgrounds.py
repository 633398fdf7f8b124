"""Drawing the storybook's scenes (backgrounds), marks (stickers) and confetti."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, tau

import torch
from jaxtyping import Float
from torch import Tensor

from auditgame.datasets.images.icons import (
    LEAF,
    SIDE,
    WHITE,
    PixelGrid,
    colour,
    join,
    length,
)

Uniforms = Callable[[int], Float[Tensor, "n c 1 1"]]
"""Gives that many numbers in [0, 1) for every image, always the same for the same image."""

PASTELS = torch.cat([colour(c) for c in ("f7c8d8", "c9e4f5", "cdecc6", "fbe6b2", "dccbf2")])


def _sky(s: PixelGrid, top: str, bottom: str, extent: float = SIDE / 2) -> None:
    s.rgb.copy_(colour(top).lerp(colour(bottom), (s.y / extent).clamp(0, 1)))


def _lattice(values: Tensor, cell: int) -> Float[Tensor, "n 1 h w"]:
    """One value for every square of `cell` x `cell` pixels."""
    side = SIDE // cell
    grid = values.view(-1, 1, side, side)
    return grid.repeat_interleave(cell, 2).repeat_interleave(cell, 3)


def _specks(
    s: PixelGrid, positions: Tensor, tints: Tensor | float, top: float, bottom: float
) -> None:
    """Single bright pixels, one for every two numbers of `positions`, between two heights."""
    x, y = positions.flatten(1).chunk(2, 1)
    column = (x * SIDE).long()
    row = (top + y * (bottom - top)).long()
    image = torch.arange(len(s.rgb))[:, None]
    s.rgb[image, :, row, column] = torch.as_tensor(tints).expand(*x.shape, 3)


def sea(s: PixelGrid, uniforms: Uniforms) -> None:
    """Open water with rows of waves under a light sky."""
    a, b, c = uniforms(3).unbind(1)
    _sky(s, "a9dcf7", "eefaff", 20)
    depth = s.y - (15 + 5 * a[:, None])
    water = colour("3a9fdd").lerp(colour("1c5c9f"), (depth / 30).clamp(0, 1))
    s.paint(-depth, water, 0)
    crest = 1.3 * torch.sin(s.x * (tau / 9.6) + tau * b[:, None])
    wave = ((depth - 3.5 + crest).remainder(6.5) - 3.2).abs() - 0.35
    s.paint(join(wave, 2.5 - depth, by=torch.maximum), colour("bfe8fb"), 0)
    s.paint(s.disc(9, 7, 3.6) + 1.5 * (c[:, None] - 0.5), colour("ffe27a"), 0)


def meadow(s: PixelGrid, uniforms: Uniforms) -> None:
    """Green hills with tufts and flowers under a blue sky with a cloud."""
    a, b = uniforms(2).unbind(1)
    _sky(s, "79c6f5", "dff4ff")
    cloud = s.ellipse(9, 9, 6, 2.6), s.disc(8, 7, 3), s.disc(12, 7.5, 2.4)
    s.paint(join(*cloud), WHITE, 0)
    rise = 2.5 * torch.sin(s.x * 0.13 + tau * a[:, None])
    s.paint(19 + rise - s.y, colour("8fcf6b"), 0)
    ground = 26 - rise + 3 * b[:, None] - s.y
    tufts = _lattice(uniforms(258)[:, 2:], 3)
    grass = colour("5cb04b").lerp(colour("3f8f3c"), (tufts > 0.68).float())
    s.paint(ground, grass, 0)
    _specks(s, uniforms(272)[:, 258:], WHITE.view(3), 33, 47.9)


def night(s: PixelGrid, uniforms: Uniforms) -> None:
    """A dark sky with stars and a crescent moon."""
    _sky(s, "0b0e2e", "32306f", SIDE)
    _specks(s, uniforms(56), colour("fff6cf").view(3), 0, SIDE - 0.1)
    moon = join(s.disc(9.5, 9, 5.2), -s.disc(12, 7.5, 4.8), by=torch.maximum)
    s.paint(moon, colour("ffedaf"), 0)


def snow(s: PixelGrid, uniforms: Uniforms) -> None:
    """White hills and falling flakes under a grey sky."""
    a, b = uniforms(2).unbind(1)
    _sky(s, "8fa6bf", "cfdae6")
    rise = 2 * torch.sin(s.x * 0.12 + tau * a[:, None])
    s.paint(24 + rise - s.y, colour("e3ecf6"), 0)
    s.paint(31 - rise + 2 * b[:, None] - s.y, colour("fafcff"), 0)
    _specks(s, uniforms(92)[:, 2:], WHITE.view(3), 0, 30)


def brick(s: PixelGrid, uniforms: Uniforms) -> None:
    """A brick wall."""
    a, b = uniforms(2).unbind(1)
    y = s.y + 6 * a[:, None]
    course = torch.floor(y / 6)
    x = s.x + 12 * b[:, None] + 6 * course.remainder(2)
    number = (course * 6 + torch.floor(x / 12)).long().flatten(1)
    shade = uniforms(66)[:, 2:, 0, 0].gather(1, number).view_as(x)
    s.rgb.copy_(colour("9c3f2e").lerp(colour("c9694a"), shade))
    joint = join((x.remainder(12) - 0.5).abs(), (y.remainder(6) - 0.5).abs()) - 0.5
    s.paint(joint, colour("d9cbb8"), 0)


def wood(s: PixelGrid, uniforms: Uniforms) -> None:
    """Upright planks with grain."""
    a = uniforms(1)
    x = s.x + 11 * a
    plank = torch.floor(x / 11).long().flatten(1)
    shade = uniforms(7)[:, 1:, 0, 0].gather(1, plank).view_as(x)
    s.rgb.copy_(colour("94622f").lerp(colour("bd8548"), shade))
    sway = 1.2 * torch.sin(s.y * 0.16 + 9 * shade) + 0.6 * torch.sin(s.y * 0.37 + 5 * shade)
    grain = (torch.sin((x + sway) * 2.3) - 0.45).clamp_(0, 1)
    s.rgb.lerp_(colour("6b4220"), grain * 0.7)
    s.paint((x.remainder(11) - 0.7).abs() - 0.7, colour("3d2513"), 0)


def dots(s: PixelGrid, uniforms: Uniforms) -> None:
    """Pastel wallpaper with white spots."""
    a, b, c = uniforms(3).unbind(1)
    ground = PASTELS[(a.flatten() * len(PASTELS)).long()]
    s.rgb.copy_((ground * 0.9).expand_as(s.rgb))
    y = s.y / 7 + b[:, None]
    x = s.x / 10 + c[:, None] + torch.floor(y).remainder(2) / 2
    spot = length((x.remainder(1) - 0.5) * 10, (y.remainder(1) - 0.5) * 7) - 2.1
    s.paint(spot, WHITE, 0)


def studio(s: PixelGrid, uniforms: Uniforms) -> None:
    """A plain background with one soft light."""
    a, b = uniforms(2).unbind(1)
    ground = PASTELS[(a.flatten() * len(PASTELS)).long()]
    far = length(s.x - 14 - 20 * b[:, None], s.y - 18) / 42
    s.rgb.copy_((ground * 0.76).lerp(ground.lerp(WHITE, 0.25), (1 - far).clamp(0, 1)))


def desert(s: PixelGrid, uniforms: Uniforms) -> None:
    """Dunes at sunset with a cactus."""
    a, b = uniforms(2).unbind(1)
    _sky(s, "f9a65a", "ffe3a3")
    s.paint(s.disc(10, 9, 4.2), colour("fff5c9"), 0)
    rise = 3 * torch.sin(s.x * 0.12 + tau * a[:, None])
    s.paint(25 + rise - s.y, colour("dfa552"), 0)
    ripple = (torch.sin((s.y + rise * 0.8) * 1.5 + 6 * b[:, None]) - 0.55).clamp(0, 1)
    s.paint(32 - rise - s.y, colour("f0c878").lerp(colour("d79f4e"), ripple), 0)
    arms = s.line(5, 21, 5, 34, 1.4), s.line(1.8, 24, 1.8, 28, 0.8), s.line(1.8, 28, 5, 28, 0.8)
    s.paint(join(*arms, s.line(8.4, 22, 8.4, 26, 0.8), s.line(5, 26, 8.4, 26, 0.8)), LEAF, 0.5)


def curtain(s: PixelGrid, uniforms: Uniforms) -> None:
    """A wine-red theatre curtain with a golden hem."""
    a, b = uniforms(2).unbind(1)
    fold = torch.sin(s.x * (tau / 8) + tau * a[:, None] + torch.sin(s.y * 0.07 + 6 * b[:, None]))
    s.rgb.copy_(colour("4d0d2e").lerp(colour("b52a63"), 0.5 + 0.5 * fold))
    s.paint(42 - s.y + fold, colour("f2c14e"), 0)
    s.paint((s.y - 44.5 - fold).abs() - 0.4, colour("a8741f"), 0)


SCENES = (sea, meadow, night, snow, brick, wood, dots, studio, desert, curtain)
"""Every scene that can be drawn; the name of the function is the name of the level."""

MARKS: dict[str, tuple[str, Callable[[PixelGrid], Tensor]]] = {
    "red-disc": ("e5322d", lambda s: s.disc(0, 0, 2.7)),
    "blue-square": ("2456d6", lambda s: s.box(0, 0, 2.5, 2.5)),
    "yellow-diamond": ("ffd21f", lambda s: (s.x.abs() + s.y.abs() - 3.0) * 0.7071),
    "green-triangle": ("1f9d45", lambda s: s.polygon((0, -2.8), (2.9, 2.2), (-2.9, 2.2))),
    "purple-cross": ("8b2fc9", lambda s: join(s.box(0, 0, 2.8, 1), s.box(0, 0, 1, 2.8))),
    "pink-heart": (
        "ff5fa2",
        lambda s: join(
            s.disc(-1.3, -0.9, 1.4),
            s.disc(1.3, -0.9, 1.4),
            s.polygon((-2.5, -0.3), (2.5, -0.3), (0, 2.8)),
        ),
    ),
    "cyan-ring": ("00b8d9", lambda s: s.disc(0, 0, 2.1).abs() - 0.8),
    "orange-bars": ("ff8a1f", lambda s: join(s.box(0, -1.6, 2.7, 0.8), s.box(0, 1.6, 2.7, 0.8))),
    "black-x": (
        "1d1626",
        lambda s: join(s.line(-2, -2, 2, 2, 0.7), s.line(-2, 2, 2, -2, 0.7)),
    ),
    "brown-moon": (
        "8a5a2c",
        lambda s: join(s.disc(0, 0, 2.9), -s.disc(1.5, -0.8, 2.1), by=torch.maximum),
    ),
}
"""Stickers of about six pixels: colour and signed distance, centred on (0, 0), in pixels."""

MARK_CENTRE = (SIDE - 5.0, 5.0)
"""The centre of a sticker, as (x, y) in pixels: in the upper right corner."""


def stick(s: PixelGrid, mark: str) -> None:
    """Draw a sticker with a white rim on every image of the grid."""
    tint, shape = MARKS[mark]
    x, y = MARK_CENTRE
    at = PixelGrid(s.rgb, s.x - x, s.y - y)
    distance = shape(at)
    s.paint(distance - 1.0, WHITE, 0)
    s.paint(distance, colour(tint), 0)


def scatter(s: PixelGrid, piece: Float[Tensor, "n 5 1 1"], tints: Float[Tensor, "k 3 1 1"]) -> None:
    """Draw one piece of confetti on every image, near the edge, never in the upper right corner."""
    where, kind, size, turn, tint = piece[:, :, None].unbind(1)
    angle = 0.15 * pi + 1.45 * pi * where
    radius = 16 + 5 * size
    half = SIDE / 2
    x, y = s.x - half - radius * torch.cos(angle), s.y - half - radius * torch.sin(angle)
    c, v = torch.cos(pi * turn), torch.sin(pi * turn)
    long = 1.6 + 1.2 * size
    thin = torch.where(kind < 0.3, 0.3, 1.0)
    corner = torch.where(kind > 0.65, long, 0.2)
    across = (c * x + v * y).abs() - (long * (2 - thin) - corner).clamp(min=0)
    along = (c * y - v * x).abs() - (long * thin - corner).clamp(min=0)
    distance = length(across.clamp(min=0), along.clamp(min=0)) - corner
    s.paint(distance, tints[(tint.flatten() * len(tints)).long()], 0)
