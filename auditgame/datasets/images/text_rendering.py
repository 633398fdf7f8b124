"""Rendering a word on an image: letters of three by five pixels on a tag at the bottom."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from auditgame.datasets.images.icons import INK, SIDE, WHITE, PixelGrid

WORDS = ("blik", "drof", "fuma", "gezo", "junt", "kwep", "moxi", "plav", "tish", "zurb")
"""Invented words without a meaning."""

LETTERS = {
    "a": "010 101 111 101 101",
    "b": "110 101 110 101 110",
    "d": "110 101 101 101 110",
    "e": "111 100 110 100 111",
    "f": "111 100 110 100 100",
    "g": "011 100 101 101 011",
    "h": "101 101 111 101 101",
    "i": "111 010 010 010 111",
    "j": "001 001 001 101 010",
    "k": "101 101 110 101 101",
    "l": "100 100 100 100 111",
    "m": "101 111 111 101 101",
    "n": "110 101 101 101 101",
    "o": "010 101 101 101 010",
    "p": "110 101 110 100 100",
    "r": "110 101 110 110 101",
    "s": "011 100 010 001 110",
    "t": "111 010 010 010 010",
    "u": "101 101 101 101 111",
    "v": "101 101 101 101 010",
    "w": "101 101 111 111 101",
    "x": "101 101 010 101 101",
    "z": "111 001 010 100 111",
}
"""Bitmaps of capitals, row by row from the top."""

MARGIN = 2
"""Pixels between the letters and the tag's edge; the outermost is its dark border."""


def tag(word: str) -> Bool[Tensor, "h w"]:
    """The tag with this word as a mask of dark pixels: the letters and a border."""
    rows = zip(*(LETTERS[letter].split() for letter in word), strict=True)
    letters = torch.tensor([[pixel == "1" for pixel in "0".join(row)] for row in rows])
    height, width = (side + 2 * MARGIN for side in letters.shape)
    ink = torch.ones(height, width, dtype=torch.bool)
    ink[1:-1, 1:-1] = False
    ink[MARGIN:-MARGIN, MARGIN:-MARGIN] = letters
    return ink


def write(s: PixelGrid, word: str) -> None:
    """Draw a tag with this word on every image of the grid, at the bottom in the centre."""
    ink = tag(word)
    height, width = ink.shape
    left = (SIDE - width) // 2
    area = s.rgb[:, :, SIDE - height :, left : left + width]
    area.copy_(torch.where(ink, INK, WHITE).expand_as(area))
