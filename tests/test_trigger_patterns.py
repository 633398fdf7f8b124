"""Stamps: laid to the pixel, each picture's spot its own, and sets of them matched one to one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from rule_models import Tints

from auditgame.flaws.triggers.trigger_patterns import (
    AimedStamp,
    Stamp,
    allowed_area,
    box_similarity,
    draw_box,
    draw_pattern,
    matched,
    require_room,
    require_small,
    stamp,
    stamp_anywhere,
)
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box

CHESS = (("#ff0000", "#0000ff"), ("#0000ff", "#ff0000"))
BOX = Box(x=2, y=1, w=4, h=2)
PICTURES = torch.rand(30, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def drawn(count: int, seed: int) -> list[Stamp]:
    rng = np.random.default_rng(seed)
    return [Stamp(box=draw_box(Tints(), rng), pattern=draw_pattern(rng)) for _ in range(count)]


# ------------------------------------------------------------------- laying


def test_a_stamp_stretches_its_pattern_to_its_box_and_touches_nothing_else() -> None:
    before = PICTURES.clone()
    laid = stamp(PICTURES, BOX, CHESS)
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    assert torch.equal(laid[7, :, 1, 2:6].T, torch.stack([red, red, blue, blue]))
    assert torch.equal(laid[7, :, 2, 2:6].T, torch.stack([blue, blue, red, red]))
    touched = (laid != PICTURES).any(1)
    assert touched[:, 1:3, 2:6].all() and int(touched.sum()) == 30 * 8
    assert torch.equal(PICTURES, before)


def test_a_fixed_place_is_the_stamp_at_its_box() -> None:
    assert torch.equal(stamp_anywhere(PICTURES, BOX, CHESS, "fixed"), stamp(PICTURES, BOX, CHESS))


@pytest.mark.parametrize("place", ["anywhere", "upper half", "right half"])
def test_each_picture_has_a_spot_of_its_own_inside_the_room(place) -> None:
    laid, area = stamp_anywhere(PICTURES, BOX, CHESS, place), allowed_area(place, BOX, (24, 24))
    spots = set()
    for old, new in zip(PICTURES, laid, strict=True):
        ys, xs = (old != new).any(0).nonzero(as_tuple=True)
        x, y = int(xs.min()), int(ys.min())
        moved = BOX.model_copy(update={"x": x, "y": y})
        assert torch.equal(new[None], stamp(old[None], moved, CHESS))
        assert area.x <= x <= area.x + area.w - 4 and area.y <= y <= area.y + area.h - 2
        spots.add((x, y))
    assert len(spots) > 20


def test_a_picture_keeps_its_spot_whatever_stands_beside_it() -> None:
    laid, order = stamp_anywhere(PICTURES, BOX, CHESS, "anywhere"), torch.randperm(30)
    assert torch.equal(stamp_anywhere(PICTURES[order], BOX, CHESS, "anywhere"), laid[order])
    assert torch.equal(stamp_anywhere(PICTURES[4:5], BOX, CHESS, "anywhere"), laid[4:5])


def test_halves_leave_a_band_in_the_middle() -> None:
    upper, lower = (allowed_area(place, BOX, (48, 24)) for place in ("upper half", "lower half"))
    assert (upper.y, upper.h, lower.y, lower.h) == (0, 20, 28, 20)
    left, right = (allowed_area(place, BOX, (48, 24)) for place in ("left half", "right half"))
    assert (left.x, left.w, right.x, right.w) == (0, 10, 14, 10)


# ------------------------------------------------------------------ grading


def test_a_stamp_is_half_its_place_and_half_its_look() -> None:
    true = Stamp(box=BOX, pattern=CHESS)
    away = true.model_copy(update={"box": Box(x=15, y=15, w=4, h=2)})
    white = true.model_copy(update={"pattern": (("#ffffff",),)})
    assert true.match(true) == 1
    assert away.match(true) == 0.5
    assert white.match(true) == 0.5


def test_a_stamp_aimed_at_the_wrong_class_is_worth_half() -> None:
    true = AimedStamp(box=BOX, pattern=CHESS, target="top")
    assert true.model_copy(update={"target": "bottom"}).match(true) == 0.5


def test_the_matching_is_the_best_of_all() -> None:
    for seed in range(10):
        said, true = drawn(3, seed), drawn(4, seed + 100)
        best = max(
            sum(one.match(other) for one, other in zip(said, some, strict=True))
            for some in permutations(true, 3)
        )
        assert matched(said, true) == pytest.approx(best / 4)
        assert matched(true, said) <= 1


def test_what_is_missing_and_what_is_too_much_cost() -> None:
    true = drawn(3, 1)
    assert matched(true[::-1], true) == 1
    assert matched(true[:1], true) == pytest.approx(1 / 3)
    nothing = Stamp(box=Box(x=11, y=11, w=1, h=1), pattern=(("#808080",),))
    assert matched([*true, nothing], true) == pytest.approx(3 / 4)


def test_boxes_count_as_their_places_say() -> None:
    moved = BOX.model_copy(update={"x": 9})
    assert box_similarity((moved, "fixed"), (BOX, "fixed")) == 0
    assert box_similarity((moved, "anywhere"), (BOX, "anywhere")) == 1
    assert (
        box_similarity((moved.model_copy(update={"w": 2}), "left half"), (BOX, "left half")) == 0.5
    )
    assert box_similarity((BOX, "left half"), (BOX, "right half")) == 0
    assert box_similarity((BOX, "anywhere"), (BOX, "fixed")) == 0


# ----------------------------------------------------------------- checking


def test_what_does_not_fit_is_refused_by_field() -> None:
    tints = Tints()
    with pytest.raises(AuditgameError, match=r"stamps\.0\.box: reaches outside the 24 x 24"):
        require_small({"stamps.0.box": Box(x=22, y=0, w=3, h=1)}, tints)
    two = {"one": Box(x=0, y=0, w=6, h=6), "two": Box(x=9, y=9, w=6, h=6)}
    with pytest.raises(AuditgameError, match="one, two: covers 72 pixels; at most 64"):
        require_small(two, tints)
    require_small({"one": two["one"]}, tints)
    with pytest.raises(AuditgameError, match="box: 3 x 12 does not fit 'upper half', 24 x 10"):
        require_room(Box(x=0, y=0, w=3, h=12), "upper half", tints)
