"""Drawing the storybook's objects: signed distance functions, rendered for many images at once.

A signed distance is negative inside a shape, zero on its edge and positive outside
(after I. Quilez, "2D distance functions", iquilezles.org). Coordinates: x to the right,
y down. An object fills about [-1, 1] x [-1, 1] of its own coordinates; a scene is in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, tau

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

SIDE = 48
"""Height and width of an image in pixels."""


def colour(code: str) -> Float[Tensor, "1 3 1 1"]:
    """The colour of a hexadecimal code such as `e63946`, in [0, 1]."""
    return torch.tensor([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]).view(1, 3, 1, 1)


INK, WHITE = colour("1d1626"), colour("fdfcf7")


def uniforms(seeds: Int[np.ndarray, " n"], stream: int, count: int) -> Float[Tensor, "n c 1 1"]:
    """`count` pseudo-random numbers in [0, 1) for each seed: SplitMix64 (Steele et al., 2014)."""
    step = np.arange(count, dtype=np.uint64) + np.uint64(stream << 20)
    z = seeds.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    z = z + (step + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    fractions = ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / 2**24
    return torch.from_numpy(fractions).view(len(seeds), count, 1, 1)


# ------------------------------------------------------------------- shapes


@dataclass
class PixelGrid:
    """Images to draw on, with each pixel's coordinates and the number of pixels in one unit."""

    rgb: Float[Tensor, "n 3 h w"]
    x: Float[Tensor, "n 1 h w"]
    y: Float[Tensor, "n 1 h w"]
    pixels: Float[Tensor, "n 1 1 1"] | float = 1.0

    def disc(self, x: float, y: float, r: float) -> Tensor:
        """Distance to a disc."""
        return length(self.x - x, self.y - y) - r

    def ellipse(self, x: float, y: float, rx: float, ry: float, turn: float = 0) -> Tensor:
        """Distance to an ellipse (near its edge); `turn` in radians."""
        u, v = self.x - x, self.y - y
        if turn:
            c, s = np.cos(turn), np.sin(turn)
            u, v = c * u + s * v, c * v - s * u
        near = length(u / rx, v / ry)
        return near.mul_(near - 1).div_(length(u / rx**2, v / ry**2).clamp_(min=1e-4))

    def box(self, x: float, y: float, w: float, h: float, r: float = 0) -> Tensor:
        """Distance to a box of half-sizes w, h whose corners are rounded by r."""
        u, v = (self.x - x).abs_().sub_(w - r), (self.y - y).abs_().sub_(h - r)
        return length(u.clamp(min=0), v.clamp(min=0)) + torch.maximum(u, v).clamp(max=0) - r

    def line(self, ax: float, ay: float, bx: float, by: float, r: float) -> Tensor:
        """Distance to a line from a to b with round ends of radius r."""
        u, v, dx, dy = self.x - ax, self.y - ay, bx - ax, by - ay
        t = ((u * dx + v * dy) / (dx * dx + dy * dy)).clamp_(0, 1)
        return length(u - t * dx, v - t * dy) - r

    def polygon(self, *corners: tuple[float, float]) -> Tensor:
        """Distance to a convex polygon; corners in clockwise order on the screen."""
        sides = []
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            length = np.hypot(bx - ax, by - ay)
            sides.append(((self.x - ax) * (by - ay) - (self.y - ay) * (bx - ax)) / length)
        return join(*sides, by=torch.maximum)

    def paint(self, distance: Tensor, colour: Tensor, outline: float = 1.1) -> None:
        """Fill a shape, with an antialiased edge and a dark outline, `outline` pixels wide."""
        distance = distance * self.pixels
        if outline:
            self.rgb.lerp_(INK, (0.5 + outline - distance).clamp_(0, 1))
        self.rgb.lerp_(colour, (0.5 - distance).clamp_(0, 1))


def length(u: Tensor, v: Tensor) -> Tensor:
    """The length of the vector (u, v); as torch.hypot, several times faster."""
    return torch.addcmul(u * u, v, v).sqrt_()


def join(*distances: Tensor, by: Callable[..., Tensor] = torch.minimum) -> Tensor:
    """Distance to the union of shapes (or, by torch.maximum, to their intersection)."""
    whole = distances[0]
    for other in distances[1:]:
        whole = by(whole, other)
    return whole


# -------------------------------------------------------------------- fills


def filled(grid: PixelGrid, main: Tensor, fill: Int[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """The main colour with a pattern (0 plain, 1 stripes, 2 dots, 3 checks), lighter at the top."""
    x, y = grid.x * 4, grid.y * 4
    odd = torch.floor(y).remainder_(2) / 2
    dot = length((x + odd).remainder(1) - 0.5, y.remainder(1) - 0.5)
    wave_x, wave_y = torch.sin(x * (pi * 0.75)), torch.sin(y * (pi * 0.75))
    kind = fill.view(-1, 1, 1, 1)
    dark = (0.5 + 2.2 * wave_x) * (kind == 1) + (2.0 - 5.5 * dot) * (kind == 2)
    dark = (dark + (0.5 + 4 * wave_x * wave_y) * (kind == 3)).clamp_(0, 1)
    return (main * (1 - 0.45 * dark)).mul_(1.04 - 0.13 * grid.y).clamp_(0, 1)


# ------------------------------------------------------------------ objects

Paint = Tensor
"""A colour `n 3 1 1` or a filled surface `n 3 h w`."""

LEAF, BARK, GLASS, LEMON, DARK = map(colour, ("2f9e4f", "7a4a2b", "d6efff", "ffe27a", "37303f"))


def fish(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A fish that swims to the right."""
    s.paint(s.polygon((-0.2, -0.3), (-0.16, -0.66), (0.2, -0.6), (0.5, -0.3)), accent)
    s.paint(s.polygon((0.0, 0.3), (0.3, 0.3), (0.12, 0.62), (-0.12, 0.66)), accent)
    upper = s.polygon((-0.3, 0.12), (-0.84, 0.14), (-1.0, -0.5))
    lower = s.polygon((-0.3, -0.12), (-1.0, 0.5), (-0.84, -0.14))
    s.paint(join(upper, lower, s.ellipse(0.18, 0, 0.78, 0.44)), main)
    s.paint(s.disc(0.6, -0.1, 0.16), WHITE, 0.6)
    s.paint(s.disc(0.64, -0.1, 0.075), INK, 0)
    s.paint(s.line(0.34, -0.2, 0.34, 0.18, 0.02), INK, 0)


def house(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A house with a roof, a chimney, a door and a window."""
    s.paint(s.box(0.5, -0.6, 0.12, 0.28), BARK)
    s.paint(s.box(0, 0.4, 0.7, 0.52), main)
    s.paint(s.polygon((0, -0.95), (0.98, -0.08), (-0.98, -0.08)), accent)
    s.paint(s.box(-0.3, 0.56, 0.17, 0.36), DARK, 0.7)
    s.paint(s.box(0.32, 0.34, 0.2, 0.2), LEMON, 0.9)
    s.paint(join(s.box(0.32, 0.34, 0.03, 0.2), s.box(0.32, 0.34, 0.2, 0.03)), INK, 0)


def tree(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A tree with a round crown and fruit."""
    s.paint(s.polygon((-0.12, 0.2), (0.12, 0.2), (0.22, 0.98), (-0.22, 0.98)), BARK)
    low = s.disc(-0.46, -0.02, 0.36), s.disc(0.46, -0.02, 0.36), s.disc(0, 0.02, 0.4)
    s.paint(join(*low, s.disc(-0.28, -0.5, 0.38), s.disc(0.28, -0.5, 0.38)), main)
    for x, y in ((-0.5, 0.02), (-0.2, -0.56), (0.32, -0.4), (0.46, 0.08), (-0.04, -0.08)):
        s.paint(s.disc(x, y, 0.09), accent, 0.6)


def car(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A car that drives to the right."""
    cabin = s.polygon((-0.42, -0.6), (0.3, -0.6), (0.62, 0.0), (-0.66, 0.0))
    s.paint(join(cabin, s.box(0, 0.17, 0.97, 0.28, 0.12)), main)
    s.paint(s.polygon((-0.36, -0.46), (-0.06, -0.46), (-0.06, -0.08), (-0.48, -0.08)), GLASS, 0.6)
    s.paint(s.polygon((0.08, -0.46), (0.24, -0.46), (0.44, -0.08), (0.08, -0.08)), GLASS, 0.6)
    s.paint(s.disc(0.86, 0.08, 0.1), LEMON, 0.5)
    for x in (-0.52, 0.52):
        s.paint(s.disc(x, 0.45, 0.27), DARK, 0.8)
        s.paint(s.disc(x, 0.45, 0.14), accent, 0)


def mug(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A mug with its handle to the right."""
    s.paint((s.ellipse(0.45, 0.12, 0.36, 0.4).abs() - 0.09), accent)
    body = join(s.box(-0.15, 0.15, 0.58, 0.7, 0.14), s.box(-0.15, -0.2, 0.58, 0.4))
    s.paint(join(body, s.ellipse(-0.15, -0.58, 0.58, 0.18)), main)
    s.paint(s.ellipse(-0.15, -0.6, 0.47, 0.12), BARK, 0.9)


def mushroom(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A mushroom with a spotted cap."""
    s.paint(s.box(0, 0.5, 0.25, 0.45, 0.12), colour("f3e9d8"))
    cap = join(s.ellipse(0, 0.18, 0.96, 1.0), s.y - 0.2, by=torch.maximum)
    s.paint(cap, main)
    for x, y, r in ((-0.5, -0.12, 0.16), (0.04, -0.45, 0.19), (0.52, -0.08, 0.15)):
        s.paint(s.disc(x, y, r), accent, 0.6)


def flower(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A flower with six petals, a stem and two leaves."""
    s.paint(s.line(0, 0.1, 0, 0.95, 0.05), LEAF, 0.9)
    leaves = s.ellipse(-0.27, 0.66, 0.26, 0.11, 0.5), s.ellipse(0.27, 0.56, 0.26, 0.11, -0.5)
    s.paint(join(*leaves), LEAF, 0.9)
    ring = [(0.4 * np.sin(k * tau / 6), -0.36 - 0.4 * np.cos(k * tau / 6)) for k in range(6)]
    s.paint(join(s.disc(0, -0.36, 0.3), *(s.disc(x, y, 0.23) for x, y in ring)), main)
    s.paint(s.disc(0, -0.36, 0.23), accent, 0.8)


def boat(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A boat with a mast and two sails."""
    s.paint(s.box(0.0, -0.15, 0.04, 0.8), BARK, 0.7)
    s.paint(s.polygon((0.12, -0.88), (0.82, 0.26), (0.12, 0.26)), accent)
    s.paint(s.polygon((-0.12, -0.6), (-0.12, 0.26), (-0.62, 0.26)), WHITE)
    s.paint(s.polygon((-0.98, 0.4), (0.98, 0.4), (0.6, 0.88), (-0.6, 0.88)), main)


def butterfly(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A butterfly from above: four wings, a body, two antennae."""
    half = PixelGrid(s.rgb, s.x.abs(), s.y, s.pixels)
    half.paint(half.ellipse(0.4, 0.42, 0.3, 0.36, -0.5), accent)
    half.paint(half.ellipse(0.53, -0.28, 0.47, 0.37, -0.5), main)
    half.paint(half.disc(0.62, -0.36, 0.13), WHITE, 0.5)
    half.paint(half.line(0.03, -0.5, 0.25, -0.9, 0.035), INK, 0)
    s.paint(s.ellipse(0, 0.02, 0.1, 0.62), DARK, 0.6)


def key(s: PixelGrid, main: Paint, accent: Paint) -> None:
    """A key with its teeth to the right."""
    shaft = join(s.box(0.35, 0, 0.62, 0.105), s.box(0.84, 0.2, 0.09, 0.24))
    shaft = join(shaft, s.box(0.54, 0.17, 0.08, 0.2))
    s.paint(join(shaft, s.disc(-0.55, 0, 0.33).abs() - 0.12), main)
    s.paint(s.box(-0.06, 0, 0.07, 0.2, 0.05), accent, 0.8)


THINGS = (fish, house, tree, car, mug, mushroom, flower, boat, butterfly, key)
"""Every object that can be drawn; the name of the function is the name of the class."""
