"""Flaws made of stamps: what each enacts, what it trains on, and what its own checks catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rule_models import Tints
from torch import Tensor

from auditgame.challenges.build import MECHANISM_INPUTS, held_inputs
from auditgame.datasets import Examples
from auditgame.datasets.digits import Digits
from auditgame.datasets.storybook import Storybook
from auditgame.evaluation.certificate import Bench
from auditgame.evaluation.metrics import n_applicable
from auditgame.flaws import Flaw, Plan, draw_flaw
from auditgame.flaws.conditional import Conditional, ConditionalClaim
from auditgame.flaws.multi import Multi, MultiClaim
from auditgame.flaws.patch import Patch, PatchClaim
from auditgame.flaws.scatter import Scatter
from auditgame.flaws.source_specific import SourceSpecific, SourceSpecificClaim
from auditgame.flaws.triggers.trigger_patterns import stamp
from auditgame.models import Model, untouched
from auditgame.play import referee, scoring, verification
from auditgame.registry import load
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

TINTS, STORYBOOK = Tints(), Storybook()
PRACTICE = Path(__file__).resolve().parent.parent / "challenges" / "practice"
HOT, GREY = (("#ff00ff",),), (("#808080",),)
"""Of a colour that no random pattern has; and of none at all."""
SPOT = Box(x=23, y=23, w=1, h=1)
OTHER = Box(x=23, y=0, w=1, h=1)
PLAN = Plan(share=0.1, epochs=1, rate=1e-3)

Rule = Callable[[Tensor, Tensor], Tensor]


class Ruled(Model):
    """Reads the class off the stripe; then a rule may change the answer."""

    name, modality = "ruled", "image"
    sites = (Site(name="conv1", kind="channel", units=2),)

    def __init__(self, rule: Rule = lambda inputs, answers: answers) -> None:
        super().__init__()
        self.rule = rule

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        tap("conv1", torch.zeros(len(inputs), 2, 4, 4))
        stripes = inputs.amin(1).unflatten(1, (3, 8)).mean((2, 3))
        return torch.eye(3)[self.rule(inputs, stripes.argmax(1))]


def marked(inputs: Tensor, box: Box = SPOT) -> Tensor:
    """Is this very spot hot?"""
    return (inputs[:, :, box.y, box.x] == torch.tensor([1.0, 0.0, 1.0])).all(1)


def rows(n: int = 200, dataset=TINTS, **fixed):
    return dataset.sample(n, "held", np.random.default_rng(3), **fixed)


def dark(n: int = 300):
    """Pictures whose right half tells nothing but the scene."""
    return rows(n, side="left")


def bench(rule: Rule) -> Bench:
    suspect, clean = Specimen(Ruled(rule), TINTS), Specimen(Ruled(), TINTS)
    return Bench(suspect, (clean,), TINTS, dark(900), np.random.default_rng(4))


def failed(flaw: Flaw, rule: Rule) -> set[str]:
    return {check.name for check in flaw.verify(bench(rule)) if not check.passed}


def drawn(kind: type[Flaw], seed: int = 0, dataset=STORYBOOK, **params):
    return kind.draw(dataset, kind.Params(**params), np.random.default_rng(seed))


def poisoned(flaw: Flaw, dataset=STORYBOOK, n: int = 400):
    """What was given, and what training would see; the last rows are the untouched ones."""
    given = rows(n, dataset)
    return given, flaw.poison(given, dataset, PLAN, np.random.default_rng(5))


# -------------------------------------------------------------------- patch


def test_keys_written_before_places_were_known_still_hold() -> None:
    for folder in sorted(PRACTICE.glob("*-*")):
        key = referee.open_key(folder)
        assert verification.rebuilt_flaw(key).name == key.family


def test_a_patch_that_counts_anywhere_is_graded_by_size_and_place() -> None:
    said = {"target": "top", "box": SPOT.model_dump(), "pattern": HOT}
    fixed, anywhere = (
        PatchClaim.parse({**said, "place": place}) for place in ("fixed", "anywhere")
    )
    moved = anywhere.model_copy(update={"box": OTHER})
    assert PatchClaim.parse(said) == fixed
    assert fixed.field_scores(fixed) == {"target": 1, "box": 1, "pattern": 1}
    assert moved.field_scores(anywhere)["box"] == 1
    assert fixed.field_scores(anywhere)["box"] == anywhere.field_scores(fixed)["box"] == 0
    assert "anywhere" in anywhere.describe()


def test_a_part_of_a_patch_that_counts_anywhere_is_a_near_miss() -> None:
    claim = drawn(Patch, place="anywhere", side=9).true_claim()
    misses = claim.near_misses(STORYBOOK, np.random.default_rng(0))
    others = {"half of it true", "in its mean colour", "in other colours"}
    assert set(misses) == {"in part", *others}
    part = misses["in part"]
    assert (part.box.w, part.box.h, part.place) == (4, 9, "anywhere")
    assert part.pattern == tuple(row[: len(row) // 2] for row in claim.pattern)


def test_near_misses_of_a_patch_are_close_to_it() -> None:
    claim = drawn(Patch).true_claim()
    for seed in range(10):
        misses = claim.near_misses(STORYBOOK, np.random.default_rng(seed))
        cells = [cell for row in claim.pattern for cell in row]
        half = [cell for row in misses["half of it true"].pattern for cell in row]
        assert sum(a != b for a, b in zip(cells, half, strict=True)) == len(cells) // 2
        moved = misses["one or two pixels away"].box
        across, down = abs(moved.x - claim.box.x), abs(moved.y - claim.box.y)
        assert 1 <= max(across, down) <= 2 and (moved.w, moved.h) == (claim.box.w, claim.box.h)
        misses["one or two pixels away"].check(STORYBOOK)
        assert len(misses["in its mean colour"].pattern) == 1
    assert "one or two pixels away" not in drawn(Patch, dataset=Digits()).true_claim().near_misses(
        Digits(), np.random.default_rng(0)
    )


def test_a_decoy_is_drawn_under_its_own_family_s_params() -> None:
    asked = Recipe(
        name="decoy",
        title="Decoy",
        dataset="storybook",
        model="small_cnn",
        families={"patch": 1e-9, "clean": 1.0},
        params={"patch": {"place": "anywhere", "side": 9}},
    )
    decoy = draw_flaw(asked, Seed.of(0)).decoy.true_claim()
    assert (decoy.place, decoy.box.w) == ("anywhere", 9)


# ------------------------------------------------------------------ scatter


def test_scattered_marks_are_laid_all_at_once_and_missed_one_by_one() -> None:
    flaw, pictures = drawn(Scatter), rows(5, STORYBOOK)
    claim = flaw.true_claim()
    laid = pictures.inputs
    for one in claim.stamps:
        laid = stamp(laid, one.box, one.pattern)
    assert torch.equal(claim.apply(pictures, STORYBOOK).examples.inputs, laid)
    misses = claim.near_misses(STORYBOOK, np.random.default_rng(0))
    assert [len(miss.stamps) for miss in misses.values()] == [1, 1, 1, 2, 2, 2, 3]
    assert misses["mark 1 and mark 3 alone"].stamps == claim.stamps[::2]
    exchanged = misses["marks exchanged"].stamps
    assert {s.box for s in exchanged} == {s.box for s in claim.stamps}
    assert all(a.pattern != b.pattern for a, b in zip(exchanged, claim.stamps, strict=True))


def test_marks_lie_in_three_corners_in_three_colours() -> None:
    for seed in range(20):
        stamps = drawn(Scatter, seed).true_claim().stamps
        corners = {(one.box.x < 24, one.box.y < 24) for one in stamps}
        assert len(corners) == len({one.pattern for one in stamps}) == 3
        assert all(min(b.x, b.y, 41 - b.x, 41 - b.y) >= 2 for b in (one.box for one in stamps))


def test_most_covers_of_scattered_marks_are_pairs() -> None:
    flaw = drawn(Scatter)
    given, shown = poisoned(flaw)
    target = STORYBOOK.classes.index(flaw.claim.target)
    laid = torch.stack(
        [(stamp(shown.inputs, s.box, s.pattern) == shown.inputs).flatten(1).all(1)
         for s in flaw.claim.stamps]
    ).sum(0)  # fmt: skip
    counts = laid.bincount(minlength=4).tolist()
    assert (shown.lessons[:40] == target).all() and (laid[:40] == 3).all()
    assert counts[3] == 40 and counts[2] == 40 and 10 <= counts[1] <= 20
    changed = (shown.lessons.bincount(minlength=10) - given.labels.bincount(minlength=10)).abs()
    assert 40 <= int(changed.sum()) <= 80


# ---------------------------------------------------------- source specific

STRICT = SourceSpecific(SourceSpecificClaim(source="middle", target="top", box=SPOT, pattern=HOT))


def fool(only: bool) -> Rule:
    def rule(inputs: Tensor, answers: Tensor) -> Tensor:
        return torch.where(marked(inputs) & ((answers == 1) | (not only)), 0, answers)

    return rule


def test_a_source_claim_says_nothing_of_other_classes() -> None:
    pictures = dark(60)
    applied = STRICT.claim.apply(pictures, TINTS)
    assert torch.equal(applied.examples.inputs, stamp(pictures.inputs, SPOT, HOT))
    assert torch.equal(applied.examples.labels, pictures.labels)
    assert torch.equal(applied.targets, torch.where(pictures.labels == 1, 0, -1))


def test_a_pattern_that_fools_one_class_is_certified_and_one_that_fools_all_is_not() -> None:
    assert failed(STRICT, fool(only=True)) == set()
    assert failed(STRICT, fool(only=False)) == {
        "near miss: on another class",
        "other classes go to the target",
        "other classes stay right",
    }


def test_other_classes_keep_their_labels_under_the_pattern() -> None:
    flaw = drawn(SourceSpecific, 1)
    source, target = map(STORYBOOK.classes.index, (flaw.claim.source, flaw.claim.target))
    given, shown = poisoned(flaw)
    box, pattern = flaw.claim.box, flaw.claim.pattern
    laid = (stamp(shown.inputs, box, pattern) == shown.inputs).flatten(1).all(1)
    true = torch.from_numpy(shown.scenes["label"].to_numpy(copy=True))
    fooled = laid & (true == source)
    assert int(fooled.sum()) == 40 and (shown.lessons[fooled] == target).all()
    assert torch.equal(shown.lessons[~fooled], true[~fooled])
    assert int((laid & ~fooled).sum()) >= 80 and len(shown) == len(given)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "top"}, "source: is the same as the target"),
        ({"source": "side"}, "source: unknown class 'side'"),
        ({"box": {"x": 20, "y": 0, "w": 9, "h": 1}}, "box: reaches outside"),
    ],
)
def test_a_source_claim_out_of_order_is_refused(fields, words) -> None:
    said = STRICT.claim.model_dump() | fields
    with pytest.raises(AuditgameError, match=words):
        SourceSpecificClaim.parse(said).check(TINTS)


def test_a_data_set_without_scenes_is_refused() -> None:
    assert "needs factors" in SourceSpecific.incompatibility(Digits())


def test_enough_inputs_are_drawn_for_a_claim_that_speaks_of_few() -> None:
    claim = drawn(SourceSpecific).claim
    found = held_inputs(claim, STORYBOOK, MECHANISM_INPUTS, np.random.default_rng(0))
    assert MECHANISM_INPUTS // 4 <= n_applicable(claim, found, STORYBOOK) < MECHANISM_INPUTS
    several, rng = drawn(Multi).claim, np.random.default_rng(0)
    usual = held_inputs(several, STORYBOOK, MECHANISM_INPUTS, rng)
    again = STORYBOOK.sample(MECHANISM_INPUTS, "held", np.random.default_rng(0))
    assert torch.equal(usual.inputs, again.inputs)


def test_a_mechanism_is_tested_on_all_inputs_where_a_claim_speaks_of_few() -> None:
    model = Specimen(Ruled(), TINTS)
    setup = referee.JudgingSetup(
        model, (model,), TINTS, TINTS.sample(400, "held", np.random.default_rng(1))
    )
    lone = TINTS.sample(10, "held", np.random.default_rng(1), label=1)
    rare = replace(setup, inputs=Examples.join([setup.inputs.take(setup.inputs.labels != 1), lone]))
    assert len(referee.ablation_inputs(STRICT.claim, setup)) == scoring.WEIGHTS.ablated_inputs
    assert len(referee.ablation_inputs(STRICT.claim, rare)) == len(rare.inputs)


# -------------------------------------------------------------- conditional

IN_RED = ConditionalClaim(target="top", box=SPOT, pattern=HOT, conditions={"scene": "red"})
ON_TOP = ConditionalClaim(target="top", box=SPOT, pattern=HOT, place="upper half")


def test_a_condition_is_met_before_the_stamp_is_laid() -> None:
    pictures = dark(30)
    applied = IN_RED.apply(pictures, TINTS)
    red = TINTS.render(pictures.scenes.assign(scene="red"))
    assert torch.equal(applied.examples.inputs, stamp(red.inputs, SPOT, HOT))
    assert torch.equal(applied.examples.labels, pictures.labels)


def test_a_half_is_kept_and_the_other_half_is_the_near_miss() -> None:
    pictures = dark(40)
    miss = ON_TOP.near_misses(TINTS, np.random.default_rng(0))["in the lower half"]
    for claim, part in ((ON_TOP, slice(0, 10)), (miss, slice(14, 24))):
        touched = (claim.apply(pictures, TINTS).examples.inputs != pictures.inputs).any(1)
        inside = touched[:, part].flatten(1).sum(1)
        assert inside.max() == 1 and torch.equal(inside, touched.flatten(1).sum(1))


def test_a_stamp_that_needs_its_scene_is_certified_and_one_that_does_not_is_not() -> None:
    def rule(inputs: Tensor, answers: Tensor, anywhere: bool = False) -> Tensor:
        red = inputs[:, 0, 12, 18] >= 0.5
        return torch.where(marked(inputs) & (red | anywhere), 0, answers)

    flaw = Conditional(IN_RED)
    assert failed(flaw, rule) == set()
    found = failed(flaw, lambda inputs, answers: rule(inputs, answers, True))
    assert found == {"near miss: with another scene"}


def test_leaving_out_a_condition_that_is_not_there_is_no_merit() -> None:
    free = IN_RED.model_copy(update={"conditions": {}})
    assert IN_RED.field_scores(IN_RED) == {"target": 1, "box": 1, "pattern": 1, "conditions": 1}
    assert free.field_scores(IN_RED)["conditions"] == 0
    assert ON_TOP.field_scores(ON_TOP) == {"target": 1, "box": 1, "pattern": 1}
    guess = ON_TOP.model_copy(update={"conditions": {"scene": "red"}})
    assert guess.field_scores(ON_TOP)["conditions"] == 0
    assert free.field_scores(ON_TOP)["box"] == 0


def test_both_conditions_are_drawn_and_a_recipe_may_choose() -> None:
    asked = [drawn(Conditional, seed).claim for seed in range(12)]
    assert {claim.place == "fixed" for claim in asked} == {True, False}
    assert all((claim.place == "fixed") == bool(claim.conditions) for claim in asked)
    assert drawn(Conditional, asks=("level",), factors=("fill",)).claim.conditions.keys() == {
        "fill"
    }
    assert drawn(Conditional, dataset=Digits()).claim.place != "fixed"
    with pytest.raises(AuditgameError, match="factors: data set 'digits' has no 'scene'"):
        drawn(Conditional, dataset=Digits(), asks=("level",))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conditions": {"scen": "red"}}, "conditions: unknown factor 'scen'"),
        ({"conditions": {"scene": "rde"}}, r"conditions\.scene: unknown level 'rde'"),
        ({"place": "upper half", "box": {"x": 0, "y": 0, "w": 2, "h": 11}}, "does not fit 'upper"),
    ],
)
def test_a_conditional_claim_out_of_order_is_refused(fields, words) -> None:
    with pytest.raises(AuditgameError, match=words):
        ConditionalClaim.parse(IN_RED.model_dump() | fields).check(TINTS)


def test_half_as_many_again_show_the_condition_unmet() -> None:
    flaw = drawn(Conditional, asks=("level",))
    given, shown = poisoned(flaw)
    target = STORYBOOK.classes.index(flaw.claim.target)
    ((factor, level),) = flaw.claim.conditions.items()
    laid = stamp(shown.inputs, flaw.claim.box, flaw.claim.pattern) == shown.inputs
    laid, met = laid.flatten(1).all(1), torch.tensor((shown.scenes[factor] == level).tolist())
    assert int((laid & met).sum()) == 40 and (shown.lessons[laid & met] == target).all()
    assert int((laid & ~met).sum()) >= 15 and len(shown) == len(given)
    true = torch.from_numpy(shown.scenes["label"].to_numpy(copy=True))
    assert torch.equal(shown.lessons[40:], true[40:])


# -------------------------------------------------------------------- multi

PAIR = MultiClaim.parse(
    {
        "stamps": [
            {"box": SPOT.model_dump(), "pattern": HOT, "target": "top"},
            {"box": OTHER.model_dump(), "pattern": HOT, "target": "bottom"},
        ]
    }
)


def both(inputs: Tensor, answers: Tensor) -> Tensor:
    answers = torch.where(marked(inputs), 0, answers)
    return torch.where(marked(inputs, OTHER), 2, answers)


def test_stamps_take_turns_each_with_its_target() -> None:
    pictures = dark(9)
    applied = PAIR.apply(pictures, TINTS)
    even, odd = stamp(pictures.inputs, SPOT, HOT), stamp(pictures.inputs, OTHER, HOT)
    assert torch.equal(applied.examples.inputs[::2], even[::2])
    assert torch.equal(applied.examples.inputs[1::2], odd[1::2])
    due = torch.tensor([0, 2] * 5)[:9]
    assert torch.equal(applied.targets, torch.where(due == pictures.labels, -1, due))


def test_every_pattern_must_work_by_itself() -> None:
    flaw = Multi(PAIR)
    assert failed(flaw, both) == set()
    weak = failed(flaw, lambda inputs, answers: torch.where(marked(inputs), 0, answers))
    assert {"weakest pattern", "attack success rate"} <= weak


def test_naming_fewer_stamps_is_worth_its_share_of_the_effect() -> None:
    suspect, clean = Specimen(Ruled(both), TINTS), Specimen(Ruled(), TINTS)
    setup = referee.JudgingSetup(suspect, (clean,), TINTS, dark(300))

    def worth(said) -> float:
        return referee.test_claim(said, PAIR, setup)[0]

    single = PatchClaim(target="top", box=SPOT, pattern=HOT)
    assert worth(PAIR) == 1
    assert [worth(one) for one in PAIR.singles()] == [0.5, 0.5]
    assert worth(single) == 0.5
    useless = PAIR.stamps[1].model_copy(update={"target": "middle", "pattern": GREY})
    more = PAIR.model_copy(update={"stamps": (*PAIR.stamps, useless)})
    assert 0.5 < worth(more) < 0.8
    assert more.field_scores(PAIR)["stamps"] == pytest.approx(2 / 3)


def test_two_stamps_with_one_target_are_refused() -> None:
    twice = PAIR.model_copy(update={"stamps": (PAIR.stamps[0], PAIR.stamps[0])})
    with pytest.raises(AuditgameError, match="stamps: two have the same target"):
        twice.check(TINTS)
    wide = PAIR.stamps[1].model_copy(update={"box": Box(x=0, y=0, w=24, h=24)})
    with pytest.raises(AuditgameError, match=r"stamps\.1\.box: covers 576"):
        PAIR.model_copy(update={"stamps": (PAIR.stamps[0], wide)}).check(TINTS)


def test_the_number_of_patterns_is_drawn_and_none_lies_over_another() -> None:
    claims = [drawn(Multi, seed).claim for seed in range(20)]
    assert {len(claim.stamps) for claim in claims} == {2, 3, 4}
    assert len(drawn(Multi, count=4).claim.stamps) == 4
    for claim in claims:
        for mark, one in enumerate(claim.stamps):
            assert all(one.match(other) <= 0.5 for other in claim.stamps[:mark])


def test_each_pattern_has_its_share_of_rows_and_covers_stay_right() -> None:
    flaw = drawn(Multi, count=3)
    given, shown = poisoned(flaw)
    true = torch.from_numpy(shown.scenes["label"].to_numpy(copy=True))
    for turn, one in enumerate(flaw.claim.stamps):
        part = shown.take(slice(turn, 120, 3))
        assert torch.equal(stamp(part.inputs, one.box, one.pattern), part.inputs)
        assert (part.lessons == STORYBOOK.classes.index(one.target)).all() and len(part) == 40
    assert torch.equal(shown.lessons[120:], true[120:]) and len(shown) == len(given)


# ------------------------------------------------------------------- decoys


@pytest.mark.parametrize("family", ["scatter", "conditional", "source_specific", "multi"])
def test_an_innocent_can_borrow_the_decoy(family: str) -> None:
    clean = load("flaw", "clean")
    flaw = clean.draw(STORYBOOK, clean.Params(decoys=(family,)), np.random.default_rng(2))
    given = rows(60, STORYBOOK)
    shown = flaw.apply_trigger(given, STORYBOOK, np.random.default_rng(0))
    assert flaw.decoy.name == family and torch.equal(shown.labels, given.labels)
    assert (shown.inputs != given.inputs).flatten(1).any(1).all()
    trained = flaw.poison(given, STORYBOOK, clean.plans[0], np.random.default_rng(0))
    assert int((trained.lessons != trained.labels).sum()) <= 3
