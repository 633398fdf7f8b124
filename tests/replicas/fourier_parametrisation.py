"""The Fourier canvas, sum by sum: a slow replica of Olah et al. 2017 as this project sets it."""

from __future__ import annotations

import math

import numpy as np


def frequency(k: int, n: int) -> float:
    """Cycles per pixel of the k-th term of a transform of length n."""
    return (k if k <= n // 2 else k - n) / n


def scale(row: int, column: int, size: tuple[int, int], gain: float, decay: float) -> float:
    """gain * (f_low / max(f, f_low)) ** decay."""
    low = 1 / max(size)
    f = math.hypot(frequency(row, size[0]), frequency(column, size[1]))
    return gain * (low / max(f, low)) ** decay


def canvas(z: np.ndarray, size: tuple[int, int], gain: float, decay: float, mix: np.ndarray):
    """One picture `3 h w` from parameters `3 h w//2+1 2`: every wave added one by one."""
    height, width = size
    waves = np.zeros((3, height, width))
    for row in range(height):
        for column in range(width // 2 + 1):
            alone = column == 0 or (width % 2 == 0 and column == width // 2)
            factor = scale(row, column, size, gain, decay) * (1 if alone else 2)
            for y in range(height):
                for x in range(width):
                    turn = 2 * math.pi * (row * y / height + column * x / width)
                    real, imaginary = z[:, row, column, 0], z[:, row, column, 1]
                    waves[:, y, x] += factor * (real * math.cos(turn) - imaginary * math.sin(turn))
    return 1 / (1 + np.exp(-np.einsum("ij,jhw->ihw", mix, waves / math.sqrt(height * width))))
