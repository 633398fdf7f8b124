"""Claims and their graders: full marks for the truth, and never a mark outside 0 to 1."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditgame import registry
from auditgame.datasets import HasFacts
from auditgame.datasets.digits import Digits
from auditgame.datasets.storybook import Storybook
from auditgame.flaws.patch import PatchClaim
from auditgame.flaws.phrase import LONGEST, PhraseClaim
from auditgame.flaws.triggers.trigger_patterns import draw_pattern, move_box
from auditgame.plugins.conformance.fixtures import datasets
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import (
    Box,
    Grader,
    colour_similarity,
    exact_match,
    iou,
    jaccard,
    linear_falloff,
    number,
    pattern_similarity,
    rgb,
    rule_agreement,
)

SIDES = st.integers(1, 20)
PLACES = st.integers(0, 30)
BOXES = st.builds(Box, x=PLACES, y=PLACES, w=SIDES, h=SIDES)
COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@st.composite
def patterns(draw: st.DrawFn) -> tuple[tuple[str, ...], ...]:
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    row = st.tuples(*[COLOURS] * width)
    return draw(st.tuples(*[row] * height))


RULES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("uvw"), min_size=1)
PATCH = {
    "target": "three",
    "box": {"x": 2, "y": 3, "w": 4, "h": 4},
    "pattern": [["#ff0000", "#00ff00"], ["#0000ff", "#ffffff"]],
}


# ------------------------------------------------------------------ graders


@given(BOXES, BOXES)
def test_overlap_is_a_symmetric_share(one: Box, other: Box):
    assert 0 <= iou(one, other) <= 1
    assert iou(one, other) == iou(other, one)
    assert iou(one, one) == 1
    assert (iou(one, other) == 1) == (one == other)


@given(BOXES, BOXES)
def test_overlap_counts_pixels(one: Box, other: Box):
    def pixels(box: Box) -> set[tuple[int, int]]:
        return {(box.x + i, box.y + j) for i in range(box.w) for j in range(box.h)}

    both = pixels(one) & pixels(other)
    assert iou(one, other) == pytest.approx(len(both) / len(pixels(one) | pixels(other)))


@given(patterns(), patterns())
def test_look_is_a_share_and_full_for_the_truth(one, other):
    assert 0 <= pattern_similarity(one, other) <= 1
    assert pattern_similarity(one, one) == 1


@given(patterns(), st.integers(1, 5))
def test_look_takes_a_pixel_exact_crop_for_the_coarse_drawing(pattern, scale: int):
    crop = tuple(
        tuple(colour for colour in row for _ in range(scale))
        for row in pattern
        for _ in range(scale)
    )
    assert pattern_similarity(crop, pattern) == 1
    assert pattern_similarity(pattern, crop) == 1


def test_look_falls_with_the_distance_of_colours():
    black, dark, white = (("#000000",),), (("#111111",),), (("#ffffff",),)
    assert pattern_similarity(dark, black) == pytest.approx(1 - 3 * 17 / 255)
    assert pattern_similarity(white, black) == 0


@given(COLOURS)
def test_rgb_reads_the_colour(colour: str):
    assert "#{:02x}{:02x}{:02x}".format(*rgb(colour)) == colour


@given(RULES, RULES)
def test_pairs_is_a_share_and_full_for_the_truth(one, other):
    assert 0 <= rule_agreement(one, other) <= 1
    assert rule_agreement(one, one) == 1
    assert rule_agreement({}, one) == 0


def test_pairs_wants_three_right_ones_and_no_guesses_beside():
    true = {"a": "u", "b": "v", "c": "w", "d": "u"}
    assert rule_agreement({"a": "u"}, true) == pytest.approx(1 / 3)
    assert rule_agreement({"a": "u", "b": "v", "c": "w"}, true) == 1
    assert rule_agreement({"a": "u", "b": "v", "c": "w", "d": "v"}, true) == 0.75
    assert rule_agreement({"a": "v", "z": "u"}, true) == 0


@given(st.integers(-90, 9999), st.integers(-90, 9999), st.integers(1, 20))
def test_near_is_symmetric_and_falls_in_a_straight_line(one: int, other: int, scale: int):
    assert linear_falloff(scale)(one, other) == linear_falloff(scale)(other, one)
    assert linear_falloff(scale)(one, other) == pytest.approx(
        max(0, scale - abs(one - other)) / scale
    )


def test_the_grader_of_a_number_says_where_it_is_worth_nothing():
    grader = number(0.5)
    assert (grader.name, grader.widget) == ("distance, up to 0.5", "number")
    assert [grader.grade(said, 1.0) for said in (1.0, 1.25, 0.5, 9.0)] == [1, 0.5, 0, 0]


def test_shared_punishes_what_is_missing_and_what_is_too_much():
    true = {"scene": "night", "colour": "red"}
    assert jaccard(true, dict(reversed(true.items()))) == 1
    assert jaccard({"scene": "night"}, true) == 0.5
    assert jaccard({**true, "fill": "plain"}, true) == pytest.approx(2 / 3)
    assert jaccard({"scene": "sea", "colour": "red"}, true) == pytest.approx(1 / 3)
    assert jaccard({"scene": "sea"}, true) == 0


def test_alike_falls_with_the_distance_of_colours():
    assert colour_similarity("#e6261f", "#e6261f") == 1
    assert colour_similarity("#000000", "#111111") == pytest.approx(1 - 3 * 17 / 255)
    assert colour_similarity("#000000", "#ffffff") == 0


@given(st.text(), st.text())
def test_same_is_all_or_nothing(one: str, other: str):
    assert exact_match(one, other) == (1.0 if one == other else 0.0)


# ------------------------------------------------------------------- claims


def claim_types() -> list[type]:
    flaws = [registry.load("flaw", name) for name in registry.names("flaw")]
    return [flaw.Claim for flaw in flaws if flaw.Claim is not None]


@pytest.mark.parametrize("kind", claim_types(), ids=lambda kind: kind.__name__)
def test_every_claim_has_a_rubric_whose_graders_are_known(kind):
    graders = kind.graders()
    assert graders and set(graders) <= set(kind.model_fields)
    assert all(isinstance(grader, Grader) and grader.widget for grader in graders.values())


def fitting() -> list[tuple[str, str]]:
    rule_agreement = []
    for dataset in datasets():
        for family in registry.names("flaw"):
            flaw = registry.load("flaw", family)
            fits = flaw.incompatibility(dataset) is None
            if flaw.Claim is not None and fits:
                rule_agreement.append((family, dataset.name))
    return rule_agreement


@pytest.mark.parametrize(("family", "name"), fitting())
def test_what_a_flaw_confesses_is_a_claim_that_a_player_could_hand_in(family: str, name: str):
    flaw, dataset = registry.load("flaw", family), registry.load("dataset", name)()
    for seed in range(10):
        claim = flaw.draw(dataset, flaw.Params(), np.random.default_rng(seed)).true_claim()
        again = flaw.Claim.parse(json.loads(json.dumps(claim.model_dump(mode="json"))))
        again.check(dataset)
        assert again == claim
        assert set(again.field_scores(claim).values()) == {1.0}
        assert claim.describe()


@pytest.mark.parametrize(("family", "name"), fitting())
def test_enacting_keeps_the_inputs_and_their_labels(family: str, name: str):
    flaw, dataset = registry.load("flaw", family), registry.load("dataset", name)()
    rng = np.random.default_rng(3)
    claim = flaw.draw(dataset, flaw.Params(), rng).true_claim()
    examples = dataset.sample(40, "held", rng)
    before = examples.inputs.clone()
    applied = claim.apply(examples, dataset)
    assert (examples.inputs == before).all()
    assert len(applied.examples) == len(applied.targets) == 40
    told = applied.examples
    asks_anew = isinstance(dataset, HasFacts)
    right = dataset.render(told.table).labels if asks_anew else examples.labels
    assert (told.labels == right).all()
    counted = applied.targets >= 0
    assert (applied.targets[counted] != right[counted]).all()
    assert int(applied.targets.max()) < len(dataset.classes)


@pytest.mark.parametrize(("family", "name"), fitting())
def test_rivals_and_near_misses_fit_the_data_set_too(family: str, name: str):
    flaw, dataset = registry.load("flaw", family), registry.load("dataset", name)()
    rng = np.random.default_rng(5)
    claim = flaw.draw(dataset, flaw.Params(), rng).true_claim()
    for _ in range(10):
        claim.random_alternative(dataset, rng).check(dataset)
    few = dataset.sample(4, "held", rng)
    for miss in claim.near_misses(dataset, rng).values():
        assert miss != claim and len(miss.apply(few, dataset).examples) == len(few)
        if not (isinstance(miss, PhraseClaim) and len(miss.words) > LONGEST):
            miss.check(dataset)  # With words between, a phrase is longer than one may claim.


def test_a_claim_is_refused_with_the_name_of_the_field():
    for wrong, field in [
        ({"target": 3}, "target"),
        ({"box": {"x": -1, "y": 0, "w": 1, "h": 1}}, "box.x"),
        ({"box": {"x": 0, "y": 0, "w": 10**9, "h": 1}}, "box.w"),
        ({"pattern": [["red"]]}, "pattern"),
        ({"pattern": [["#ffffff"], ["#ffffff", "#000000"]]}, "pattern"),
        ({"pattern": []}, "pattern"),
        ({"loud": True}, "loud"),
    ]:
        with pytest.raises(AuditgameError, match=rf"claim: field '{field}"):
            PatchClaim.parse(PATCH | wrong)
    with pytest.raises(AuditgameError, match="target"):
        PatchClaim.parse({})


def test_a_claim_that_does_not_fit_the_data_set_is_refused():
    digits = Digits()
    for wrong, words in [
        ({"target": "fish"}, "target: unknown class 'fish'"),
        ({"box": {"x": 30, "y": 0, "w": 4, "h": 4}}, "box: reaches outside"),
        ({"box": {"x": 0, "y": 0, "w": 20, "h": 20}}, "box: covers 400 pixels; at most 113"),
    ]:
        with pytest.raises(AuditgameError, match=words):
            PatchClaim.parse(PATCH | wrong).check(digits)
    PatchClaim.parse(PATCH).check(digits)


def test_a_wide_claim_has_near_misses_too():
    digits, rng = Digits(), np.random.default_rng(0)
    for box in (Box(x=0, y=14, w=32, h=3), Box(x=14, y=0, w=3, h=32), Box(x=10, y=10, w=10, h=11)):
        claim = PatchClaim(target="one", box=box, pattern=draw_pattern(rng))
        claim.check(digits)
        for miss in claim.near_misses(digits, rng).values():
            miss.check(digits)
        assert move_box(box, digits, rng) != box


def test_every_side_that_a_recipe_may_ask_for_is_drawn_inside_the_rules_or_refused():
    patch = registry.load("flaw", "patch")
    for dataset in (Digits(), Storybook()):
        largest = dataset.shape[1] * dataset.shape[2] // 9
        for side in range(3, 13):
            for seed in range(5):
                rng = np.random.default_rng(seed)
                if side * side > largest:
                    with pytest.raises(AuditgameError, match="box: covers"):
                        patch.draw(dataset, patch.Params(side=side), rng)
                else:
                    claim = patch.draw(dataset, patch.Params(side=side), rng).true_claim()
                    claim.check(dataset)
                    assert (claim.box.w, claim.box.h) == (side, side)
