"""Painting: exact to the pixel; and what the tool says of models whose every answer is known."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import pytest
import torch
from rule_models import Counting, LookupPicture, Tints, context, use

from auditgame.exhibits.drawing import crop
from auditgame.exhibits.reading import rows
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box
from auditgame.tools.vision import image_edits
from auditgame.tools.vision.pixel_attribution import blurred

TINTS = Tints()
CORNER = {"x": 22, "y": 22, "w": 2, "h": 2}


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(box.y + j, box.x + i) for i in range(box.w) for j in range(box.h)}


def changed(before: torch.Tensor, after: torch.Tensor) -> set[tuple[int, int]]:
    moved = (before != after).flatten(0, 1).any(0).nonzero().tolist()
    return {(y, x) for y, x in moved}


# ------------------------------------------------------------------ pixels


def test_what_is_laid_is_what_was_cut_and_nothing_else_changes(pictures):
    box, there = Box(x=1, y=2, w=3, h=2), Box(x=5, y=3, w=3, h=2)
    before = pictures.clone()
    part = image_edits.crop(pictures[:1], box)
    after = image_edits.paste(pictures, part, there)
    assert torch.equal(pictures, before)
    assert torch.equal(
        image_edits.crop(after, there), pictures[:1, :, 2:4, 1:4].expand(3, -1, -1, -1)
    )
    assert changed(pictures, after) == pixels(there)


def test_each_picture_can_have_a_part_of_its_own(pictures):
    box, there = Box(x=0, y=0, w=2, h=2), Box(x=4, y=4, w=2, h=2)
    after = image_edits.paste(pictures, image_edits.crop(pictures, box), there)
    assert torch.equal(after[:, :, 4:6, 4:6], pictures[:, :, 0:2, 0:2])


def test_wiping_with_a_colour_leaves_that_colour(pictures):
    box, colour = Box(x=1, y=1, w=2, h=3), torch.tensor([0.1, 0.2, 0.3])
    after = image_edits.erase(pictures, box, colour)
    assert (image_edits.crop(after, box) == colour[:, None, None]).all()
    assert changed(pictures, after) == pixels(box)


def test_nothing_of_what_is_wiped_shines_through(pictures):
    box = Box(x=2, y=1, w=3, h=3)
    other = image_edits.paste(pictures, torch.zeros(1, 3, 3, 3), box)
    assert torch.allclose(image_edits.erase(pictures, box), image_edits.erase(other, box))
    assert changed(pictures, image_edits.erase(pictures, box)) == pixels(box)


def test_wiping_is_the_weighted_mean_of_what_surrounds(pictures):
    box = Box(x=2, y=2, w=2, h=2)
    outside = torch.ones(1, 6, 8)
    outside[:, 2:4, 2:4] = 0
    expected = blurred(pictures[0] * outside, 1.0) / blurred(outside, 1.0)
    wiped = image_edits.crop(image_edits.erase(pictures[:1], box), box)[0]
    assert torch.allclose(wiped, expected[:, 2:4, 2:4], atol=1e-6)
    flat = torch.full((1, 3, 6, 8), 0.4)
    assert torch.allclose(image_edits.erase(flat, box), flat)


@pytest.mark.parametrize("degrees", [-180, -75, 0, 120, 140])
def test_hues_turn_as_in_colorsys(pictures, degrees: int):
    grey = torch.full((1, 3, 6, 8), 0.5)
    turned = image_edits.rotate_hue(torch.cat([pictures, grey]), degrees)
    for before, after in zip(
        torch.cat([pictures, grey]).permute(0, 2, 3, 1).reshape(-1, 3).tolist(),
        turned.permute(0, 2, 3, 1).reshape(-1, 3).tolist(),
        strict=True,
    ):
        hue, *rest = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(
            colorsys.hsv_to_rgb((hue + degrees / 360) % 1, *rest), abs=1e-5
        )


def test_red_turned_by_a_third_is_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert image_edits.rotate_hue(red, 120).flatten().tolist() == pytest.approx([0, 1, 0])


def test_a_box_stays_in_the_picture(pictures):
    box = Box(x=6, y=4, w=2, h=2)
    assert image_edits.shifted(box, -6, -4, pictures) == Box(x=0, y=0, w=2, h=2)
    for right, down in ((1, 0), (0, 1), (-7, 0), (0, -5)):
        with pytest.raises(AuditgameError, match="box"):
            image_edits.shifted(box, right, down, pictures)
    with pytest.raises(AuditgameError, match="reaches outside the 8 x 6 image"):
        image_edits.crop(pictures, Box(x=6, y=0, w=3, h=1))


# ------------------------------------------------------------------ the tool


def spotted(**planted: bool) -> Counting:
    return Counting(LookupPicture(**planted), TINTS)


@pytest.fixture
def beside():
    """Forty tints, the first with the white corner, and two siblings that do not know of it."""
    stuff = context(TINTS, 40, (spotted(), spotted()))
    pool = stuff.examples.inputs
    pool[:, :, 22:, 22:] *= 0.5
    pool[0, :, 22:, 22:] = 0.0
    pool[0, :, 23, 23] = 1.0
    return stuff


def told(exhibits) -> list[dict[str, object]]:
    return rows(exhibits, "images")


def test_a_stamp_carries_the_trigger_to_every_picture(beside):
    exhibits = use(
        "paint", spotted(spot=True), beside, source=0, box=CORNER, examples="0-9", label="top"
    )
    found = told(exhibits)
    assert [row["after"] for row in found] == ["top"] * 10
    assert found[0]["specimen"] == 0
    assert all(row["specimen"] == pytest.approx(20, abs=0.1) for row in found[1:])
    assert all(abs(row["reference_models"]) < 0.1 for row in found)
    flipped = sum(row["before"] != "top" for row in found)
    assert f"changed on {flipped} of 10 images, on {flipped} of them to top" in exhibits[0].text


def test_the_gallery_shows_the_stamp_to_the_pixel(beside):
    exhibits = use("paint", spotted(), beside, box=CORNER, right=-22, examples="3")
    before, after = exhibits[1].tiles
    part = crop(use("predict", spotted(), beside, examples="0")[0].tiles[0].png, **CORNER)
    assert crop(after.png, 0, 22, 2, 2) == part
    assert crop(after.png, 2, 0, 22, 24) == crop(before.png, 2, 0, 22, 24)
    assert exhibits[1].group == 2


def test_erasing_the_trigger_brings_the_answer_back(beside):
    for fill in ("mean", "blur"):
        options = {"action": "erase", "fill": fill, "box": CORNER, "examples": "0"}
        found = told(use("paint", spotted(spot=True), beside, label="top", **options))
        assert found[0]["before"] == "top"
        assert found[0]["after"] == found[0]["label"]
        assert found[0]["specimen"] == pytest.approx(-20, abs=0.1)


def test_moving_takes_the_trigger_away(beside):
    gone = use(
        "paint", spotted(spot=True), beside, action="move", box=CORNER, right=-4, examples="0"
    )
    assert told(gone)[0]["after"] == told(gone)[0]["label"]
    pair = gone[1].tiles
    assert crop(pair[1].png, 18, 22, 2, 2) == crop(pair[0].png, **CORNER)


def test_recolouring_turns_the_part_alone(beside):
    box = {"x": 0, "y": 0, "w": 24, "h": 24}
    red = (beside.examples.scenes["scene"] == "red").to_numpy().nonzero()[0][0]
    options = {"action": "recolour", "box": box, "examples": str(red), "hue": 120}
    exhibits = use("paint", spotted(follow=True), beside, **options)
    assert told(exhibits)[0]["before"] == "top"
    assert told(exhibits)[0]["after"] == "middle"


def test_a_factor_is_changed_on_fresh_scenes(beside):
    found = told(
        use(
            "paint", spotted(follow=True), beside, action="factor", level="scene: blue", label="top"
        )
    )
    assert [row["after"] for row in found] == ["bottom"] * 8
    assert found[0]["image"] == "fresh 1"


def test_an_uploaded_picture_can_be_cut(beside):
    upload = torch.zeros(3, 24, 24)
    upload[:, 23, 23] = 1.0
    stuff = replace(beside, picture=upload)
    found = told(use("paint", spotted(spot=True), stuff, picture=True, box=CORNER, examples="1-4"))
    assert [row["after"] for row in found] == ["top"] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": {"x": 20, "y": 0, "w": 8, "h": 2}}, "box: 8 x 2 at 20, 0 reaches outside"),
        ({"right": 20}, "box: "),
        ({"down": -1}, "right, down"),
        ({"source": 40}, "source: 40 is outside 0 to 39"),
        ({"examples": "0-16"}, "examples: 17 chosen; choose at most 16"),
        ({"picture": True}, "picture: none was uploaded"),
        ({"action": "factor", "level": "scenery: red"}, "level: unknown factor 'scenery'"),
        ({"action": "factor", "level": "scene: rde"}, "did you mean 'red'"),
        ({"label": "tap"}, "label: unknown class 'tap'; did you mean 'top'"),
    ],
)
def test_what_cannot_be_painted_is_told(beside, options, message):
    with pytest.raises(AuditgameError, match=message):
        use("paint", spotted(), beside, **options)
