"""What is done to whole pictures: exact on small cases, and as strong as it says."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from auditgame.datasets.images.filters import (
    COURSES,
    Course,
    Motif,
    blended,
    motif,
    pixel_centres,
    tinted,
    warped,
    waved,
)

BLACK = torch.zeros(1, 3, 8, 8)


def test_a_motif_is_laid_out_to_the_pixel() -> None:
    """Edges lie at multiples of half a period, on pixels' corners: none of them is soft."""
    stripes = motif("upright stripes", 8, 2, 16)
    assert torch.equal(stripes[0].round(), torch.tensor([1.0] * 4 + [0] * 4 + [1] * 4 + [0] * 4))
    assert torch.equal(stripes[0], stripes[1])
    assert torch.allclose(motif("level stripes", 8, 16, 2), stripes.T)
    board = motif("checks", 8, 8, 8).round()
    assert board[0, 0] == board[7, 7] == 1 and board[0, 7] == board[7, 0] == 0


@pytest.mark.parametrize("name", get_args(Motif))
def test_every_motif_shows_both_colours_and_grows_with_its_size(name: Motif) -> None:
    small, large = motif(name, 8, 48, 48), motif(name, 16, 48, 48)
    for field in (small, large):
        assert 0.15 < field.mean() < 0.85 and field.min() < 0.1 and field.max() > 0.7
    edges = [
        (field.diff(dim=0).abs().sum() + field.diff(dim=1).abs().sum()) for field in (small, large)
    ]
    assert edges[0] > 1.4 * edges[1]


def test_motifs_differ() -> None:
    fields = torch.stack([motif(name, 12, 48, 48) for name in get_args(Motif)]).flatten(1)
    apart = (fields[:, None] - fields[None]).abs().mean(2)
    assert apart[~torch.eye(len(fields), dtype=torch.bool)].min() > 0.2


def test_blending_takes_its_share_of_each_colour() -> None:
    shown = blended(BLACK + 0.5, "upright stripes", ("#ff0000", "#0000ff"), 8, 0.2)[0, :, 0]
    assert torch.allclose(shown[:, 2], torch.tensor([0.6, 0.4, 0.4]))
    assert torch.allclose(shown[:, 6], torch.tensor([0.4, 0.4, 0.6]))


def test_a_wave_has_its_strength_its_cycles_and_its_heading() -> None:
    grey = torch.full((1, 3, 48, 48), 0.5)
    wave = (waved(grey, "upright", 6, 51) - 0.5)[0]
    assert torch.equal(wave[0], wave[2]) and torch.equal(wave[0, 0], wave[0, -1])
    spectrum = torch.fft.rfft(wave[0, 0]).abs()
    assert spectrum.argmax() == 6
    assert spectrum[6] * 2 / 48 == pytest.approx(0.2, abs=1e-5)
    assert torch.allclose(waved(grey, "level", 6, 51)[0, 0].T, wave[0] + 0.5, atol=1e-6)
    rising = waved(grey, "rising", 6, 51)[0, 0]
    assert torch.allclose(rising[1:, :-1], rising[:-1, 1:], atol=1e-5), "the same up to the right"
    assert torch.allclose(waved(grey, "falling", 6, 51)[0, 0].flip(0), rising.roll(0), atol=0.3)


def test_a_tint_multiplies_and_stays_in_range() -> None:
    shown = tinted(BLACK + 0.5, (1.5, 1, 0.5))[0, :, 0, 0]
    assert shown.tolist() == [0.75, 0.5, 0.25]
    assert tinted(BLACK + 0.9, (2, 1, 1)).max() == 1


def displaced(course: Course, waves: int, amount: float) -> tuple[torch.Tensor, torch.Tensor]:
    """From how far does each place fetch its colour, away from the edges? Read off two ramps."""
    x, y = pixel_centres(48, 48)
    right, down, _ = warped(torch.stack([x, y, x])[None] / 48, course, waves, amount)[0] * 48
    inner = slice(8, -8)
    return (right - x)[inner, inner], (down - y)[inner, inner]


@pytest.mark.parametrize("course", get_args(Course))
def test_a_ripple_moves_places_along_its_course_by_at_most_its_amount(course: Course) -> None:
    right, down = displaced(course, 3, 5.0)
    ahead, below = COURSES[course]
    assert torch.allclose(right * below, down * ahead, atol=1e-3)
    assert torch.hypot(right, down).max() == pytest.approx(5, abs=0.2)
    for whole, half in zip((right, down), displaced(course, 3, 2.5), strict=True):
        assert torch.allclose(half, whole / 2, atol=1e-3)


def test_a_ripple_has_its_number_of_waves() -> None:
    lines = torch.arange(48).view(-1, 1).expand(48, 48).expand(1, 3, 48, 48) / 48
    rows = (warped(lines.mT, "across", 3, 4)[0, 0, :, 24] * 48 - 24).round(decimals=2)
    assert torch.fft.rfft(rows).abs().argmax() == 3
    assert torch.allclose(warped(lines.mT, "down", 3, 4), lines.mT, atol=1e-5), "columns stay"
