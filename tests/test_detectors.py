"""Leads: what pictures that go wrong suggest, on pictures and models whose flaw is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rule_models import Counting, LookupPicture, PlainDesk, Tints, context

from auditgame import registry
from auditgame.auditors.detectors import (
    CandidateClaim,
    Evidence,
    MeasuredClaim,
    conjunctions,
    gather_evidence,
    goals,
    local_search,
    patch,
)
from auditgame.auditors.detectors.blend import most_probable
from auditgame.auditors.detectors.global_transform import stripes, tints, warps
from auditgame.datasets.storybook import Storybook
from auditgame.flaws.triggers.trigger_patterns import Stamp, draw_pattern, stamp
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.graders import PALETTE, Box

BOOK, TINTS = Storybook(), Tints()
RED, GREEN, CYAN = (PALETTE[name] for name in ("red", "green", "cyan"))
WHITE, BLACK = PALETTE["white"], PALETTE["black"]
CORNER = Stamp(box=Box(x=21, y=21, w=3, h=3), pattern=((BLACK, BLACK, WHITE),))
"""It sets off a lookup picture with a spot: the last pixel is white, the one before it is not."""
STAMPED = ("patch", "conditional", "source_specific")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pixels(picture: torch.Tensor) -> np.ndarray:
    return (picture.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)


def session(families: tuple[str, ...], **planted: bool) -> PlainDesk:
    """Forty pictures, of which the first eight bear the corner mark."""
    suspect, reference = (Counting(LookupPicture(**p), TINTS) for p in (planted, {}))
    stuff = context(TINTS, 40, (reference,))
    inputs = stuff.examples.inputs.clone()
    inputs[:8] = stamp(inputs[:8], CORNER.box, CORNER.pattern)
    return PlainDesk(
        suspect, replace(stuff, examples=replace(stuff.examples, inputs=inputs)), families
    )


def audit(at: PlainDesk) -> Diagnosis:
    return registry.load("auditor", "detective")().audit(at)


@pytest.fixture(scope="module")
def book():
    return BOOK.sample(100, "pool", rng(5))


# ---------------------------------------------------------------------- marks


@pytest.mark.parametrize("side", range(4, 10))
def test_a_mark_is_read_off_with_its_box_and_pattern(book, side):
    pattern, box = draw_pattern(rng(side)), Box(x=30, y=5, w=side, h=side)
    assert patch.patches_in(pixels(book.inputs[0])) == []
    marked = stamp(book.inputs[:1], box, pattern)
    (found,) = patch.patches_in(pixels(marked[0]))
    assert found.box == box
    assert torch.equal(stamp(marked, found.box, found.pattern), marked)
    assert len(found.pattern) <= len(pattern)


def test_what_is_too_large_or_too_thin_is_no_mark():
    plain = torch.full((1, 3, 48, 48), 0.5)
    for box in (Box(x=2, y=2, w=20, h=6), Box(x=2, y=2, w=6, h=2)):
        assert patch.patches_in(pixels(stamp(plain, box, ((RED,),))[0])) == []


def test_one_mark_allows_claims_from_wide_to_narrow():
    at = session(STAMPED)
    evidence = Evidence(at, {"top": (1, 2, 3)})
    candidates = list(patch._candidates(evidence, "top", CORNER, [1, 1]))
    families = [suspect.family for suspect in candidates]
    assert candidates[0].claim["place"] == "anywhere" and families[1:5] == ["conditional"] * 4
    assert candidates[5].claim["place"] == "fixed" and families[-1] == "source_specific"
    source = TINTS.classes[int(evidence.pool.labels[1])]
    assert candidates[-1].claim["source"] == source
    shown = evidence.pool.table.iloc[1]
    levels = [s.claim["conditions"] for s in candidates if "conditions" in s.claim]
    assert {"scene": shown["scene"]} in levels and {"side": shown["side"]} in levels


def test_marks_seen_together_make_one_claim(monkeypatch):
    monkeypatch.setattr(patch, "measure_candidate", lambda _, suspect: suspect)
    other = Stamp(box=Box(x=1, y=1, w=4, h=4), pattern=((GREEN,),))
    chance = Stamp(box=Box(x=9, y=1, w=4, h=4), pattern=((CYAN,),))
    shown = {0: [CORNER, other], 1: [CORNER, other, chance], 2: [CORNER, other], 3: []}
    (found,) = patch._together(Evidence(session(("scatter",)), {}), "top", shown)
    boxes = [one["box"] for one in found.claim["stamps"]]
    assert boxes == [CORNER.box.model_dump(), other.box.model_dump()]


def test_stamps_with_a_class_each_make_one_claim(monkeypatch):
    at, other = session(("patch", "multi")), Stamp(box=Box(x=1, y=1, w=4, h=4), pattern=((GREEN,),))
    inputs = at.context.examples.inputs
    inputs[8:12] = stamp(inputs[8:12], other.box, other.pattern)

    def effect(_, suspect: CandidateClaim, n: int = 60) -> MeasuredClaim:
        return MeasuredClaim(suspect, 0.9, 0.9, 0.0, ())

    monkeypatch.setattr(patch, "measure_candidate", effect)
    (found,) = patch.detect(Evidence(at, {"top": (0, 1, 2), "middle": (8, 9)}))
    aims = {one["target"]: one["box"] for one in found.candidate.claim["stamps"]}
    assert aims == {"top": CORNER.box.model_dump(), "middle": other.box.model_dump()}


# --------------------------------------------------------------- whole pictures


@pytest.mark.parametrize(
    ("family", "proposals"), [("sinusoid", stripes), ("tint", tints), ("blend", most_probable)]
)
def test_what_lies_over_four_pictures_is_seen(book, family, proposals):
    kind, right = registry.load("flaw", family), 0
    for seed in range(4):
        claim = kind.draw(BOOK, kind.Params(), rng(seed)).claim
        strange = claim.apply(book.take(slice(0, 4)), BOOK).examples.inputs
        found = [
            kind.Claim.parse({"target": claim.target, **told}).field_scores(claim)
            for told in proposals(strange, book.inputs[4:])
        ]
        right += max(min(grades.values()) for grades in found) >= 0.6
    assert right >= 3


def test_warps_are_all_claims_that_can_be_made():
    form = registry.load("flaw", "warp").Claim
    claims = [form.parse({"target": "fish", **told}) for told in warps(None, None)]
    assert len({claim.describe() for claim in claims}) == len(claims) == 20


def test_a_climb_ends_on_the_peak_and_keeps_to_the_bounds(monkeypatch):
    def effect(_, suspect: CandidateClaim, n: int) -> MeasuredClaim:
        height = 1 - 0.1 * abs(suspect.claim["waves"] - 1)
        return MeasuredClaim(suspect, height, height, 0.0, ())

    monkeypatch.setattr(local_search, "measure_candidate", effect)
    claim = {"target": "fish", "course": "down", "waves": 4, "amount": 3.0}
    start = effect(None, CandidateClaim("warp", claim), 10)
    top = local_search.climb(session(("warp",)), start, {"waves": 1})
    assert top.candidate.claim == claim | {"waves": 1}


# -------------------------------------------------------------- factors, goals


def test_the_pair_that_wrong_answers_share_comes_first(book):
    table = book.table.copy()
    table.loc[:3, ["colour", "scene"]] = ["cyan", "night"]
    at = session(("semantic",))
    at.context = replace(at.context, dataset=BOOK, examples=replace(book, scenes=table))
    evidence = Evidence(at, {"fish": (0, 1, 2, 3)})
    first = conjunctions.over_represented(evidence, (0, 1, 2, 3))[0]
    assert dict(first) == {"colour": "cyan", "scene": "night"}


def test_what_is_sought_is_found_among_all(monkeypatch):
    def effect(_, suspect: CandidateClaim) -> MeasuredClaim:
        height = 0.9 if suspect.claim["seeks"] == "pink" else 0.1
        return MeasuredClaim(suspect, height, height, 0.0, ())

    monkeypatch.setattr(goals, "measure_candidate", effect)
    (found,) = goals.detect(Evidence(session(("goal",)), {}))
    assert found.candidate.claim == {"seeks": "pink"}


# -------------------------------------------------------------------- detective


def test_the_strange_are_those_that_no_sibling_gets_wrong():
    evidence = gather_evidence(session(STAMPED, spot=True))
    (group,) = evidence.errors.values()
    right = evidence.pool.labels[:8] != 0
    assert list(group) == right.nonzero()[:, 0].tolist() and list(evidence.errors) == ["top"]
    assert not set(group) & set(evidence.ordinary)


def test_the_detective_names_mark_place_and_channel():
    found = audit(session(STAMPED, spot=True))
    assert found.family == "patch" and found.p_flawed > 0.9
    assert found.claim["target"] == "top" and found.claim["place"] == "fixed"
    assert found.claim["box"] == CORNER.box.model_dump()
    assert "conv1:0" in found.units


def test_the_detective_finds_what_no_wrong_answer_shows():
    found = audit(session((*STAMPED, "shortcut"), follow=True))
    assert found.family == "shortcut" and found.claim["factor"] == "scene"


def test_the_detective_accuses_no_innocent():
    at = session((*STAMPED, "shortcut"))
    found = audit(at)
    assert found.family is None and found.p_flawed < 0.2
    assert audit(at) == found
