"""What keeps painted pictures legible, pixel by pixel: slow replicas of penalties and of moving."""

from __future__ import annotations

import math

import numpy as np


def variation(image: np.ndarray, *_: object) -> float:
    """Mean absolute step between neighbours: across, plus down. (Rudin, Osher, Fatemi 1992)"""
    channels, height, width = image.shape
    across = [
        abs(image[c, y, x + 1] - image[c, y, x])
        for c in range(channels)
        for y in range(height)
        for x in range(width - 1)
    ]
    down = [
        abs(image[c, y + 1, x] - image[c, y, x])
        for c in range(channels)
        for y in range(height - 1)
        for x in range(width)
    ]
    return float(np.mean(across) + np.mean(down))


def sharpness(image: np.ndarray, *_: object) -> float:
    """Sum over all waves of |F|^2 f^2, over the number of values; F by its definition."""
    channels, height, width = image.shape
    total = 0.0
    for k in range(height):
        for m in range(width):
            f = math.hypot(min(k, height - k) / height, min(m, width - m) / width)
            wave = [
                [np.exp(-2j * math.pi * (k * y / height + m * x / width)) for x in range(width)]
                for y in range(height)
            ]
            for c in range(channels):
                power = abs((image[c] * np.array(wave)).sum()) ** 2 / (height * width)
                total += power * f**2
    return total / (channels * height * width)


def strangeness(image: np.ndarray, words: np.ndarray, side: int, stride: int) -> float:
    """Mean over patches of the mean squared distance from the nearest word."""
    _, height, width = image.shape
    found = []
    for y in range(0, height - side + 1, stride):
        for x in range(0, width - side + 1, stride):
            patch = image[:, y : y + side, x : x + side].ravel()
            found.append(min(float(((patch - word) ** 2).mean()) for word in words))
    return float(np.mean(found))


def moved(
    image: np.ndarray, draws: list[float], jitter: float, turn: float, zoom: float, side: int
) -> np.ndarray:
    """Shift by up to jitter * side, turn about the middle, zoom; bilinear, mirrored at edges."""
    height, width = image.shape[1:]
    angle, factor = draws[2] * turn, 1 + draws[3] * zoom
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            dx, dy = x + 0.5 - width / 2, y + 0.5 - height / 2
            sx = (math.cos(angle) * dx - math.sin(angle) * dy) / factor + draws[0] * jitter * side
            sy = (math.sin(angle) * dx + math.cos(angle) * dy) / factor + draws[1] * jitter * side
            px, py = _mirror(sx + width / 2, width) - 0.5, _mirror(sy + height / 2, height) - 0.5
            left, top = math.floor(px), math.floor(py)
            for ny, nx in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                share = (1 - abs(px - nx)) * (1 - abs(py - ny))
                value = image[:, min(max(ny, 0), height - 1), min(max(nx, 0), width - 1)]
                out[:, y, x] += share * value
    return out


def _mirror(at: float, length: int) -> float:
    """A place beyond an edge, seen in a mirror that stands there."""
    at = abs(at) % (2 * length)
    return 2 * length - at if at > length else at
