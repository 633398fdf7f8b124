"""The arithmetic of a score: pinned totals, propriety, correction for chance."""

from __future__ import annotations

import functools
import math
from statistics import mean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from auditgame.ledger import Ledger
from auditgame.play import scoring
from auditgame.play.scoring import (
    WEIGHTS,
    Findings,
    Weights,
    choice,
    claim_share,
    detection,
    mechanism,
)
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.results import Component, Score

SHARES = st.floats(0, 1)


def findings(right: bool | None = True, grade: float = 1.0, **other) -> Findings:
    """What the referee finds where everything is right, wrong, or left open."""
    found = {
        "family": (right, 3),
        "target": (right, 10),
        "field_scores": {} if right is None else {"box": grade, "pattern": grade},
        "functional": None if right is None else grade,
        "functional_words": "",
        "chance": 0.0,
        "mechanism": grade,
        "mechanism_words": "",
    }
    return Findings(**(found | other))


# ------------------------------------------------------------- the table of weights

PINNED = {
    "detection": 40,
    "family": 10,
    "target": 10,
    "trigger": 25,
    "mechanism": 15,
    "closeness": 0.5,
    "effect": 0.5,
    "chance_ceiling": 0.75,
    "mechanism_floor": 0.10,
    "judged_inputs": 1000,
    "ablated_inputs": 300,
    "random_sets": 32,
    "random_set_inputs": 50,
}
"""The reviewed table. A change of the product's table is a change here."""
PARTLY = findings(grade=0.5, functional=0.75, chance=0.3, mechanism=-0.5)
PARTLY_POINTS = {"detection": 30, "family": 10, "target": 10, "trigger": 9.375, "mechanism": -7.5}
POINTS = ("detection", "family", "target", "trigger", "mechanism", "closeness", "effect")


def assert_pinned() -> None:
    assert scoring.WEIGHTS.model_dump() == PINNED
    assert {row.name: row.value for row in scoring.rows()} == PINNED


def assert_worked_example() -> None:
    """A diagnosis that is partly right, with every part's points worked out by hand."""
    score = scoring.flawed(0.75, PARTLY)
    assert {part.name: part.points for part in score.components} == pytest.approx(PARTLY_POINTS)
    assert score.points == pytest.approx(51.875) and score.possible == 100


def test_every_weight_is_pinned_and_documented():
    assert_pinned()
    assert all(row.meaning.endswith(".") for row in scoring.rows())


def test_a_worked_example_has_the_points_that_were_worked_out():
    assert_worked_example()


@pytest.mark.parametrize("name", Weights.model_fields)
@pytest.mark.parametrize("factor", [0.5, 2])
def test_changing_any_weight_fails_a_test(name: str, factor: float, monkeypatch):
    value = getattr(WEIGHTS, name)
    changed = WEIGHTS.model_copy(update={name: type(value)(value * factor)})
    monkeypatch.setattr(scoring, "WEIGHTS", changed)
    with pytest.raises(AssertionError):
        assert_pinned()
    if name in POINTS:
        with pytest.raises(AssertionError):
            assert_worked_example()


# ------------------------------------------------------------- pinned scores


def test_the_oracle_gets_all_there_is():
    score = scoring.flawed(1.0, findings())
    assert (score.points, score.possible) == (100, 100)
    assert [part.possible for part in score.components] == [40, 10, 10, 25, 15]
    innocent = scoring.clean(0.0)
    assert (innocent.points, innocent.possible) == (40, 40)


def test_the_anti_oracle_loses_three_times_the_detection_and_pays_for_its_guesses():
    score = scoring.flawed(0.0, findings(right=False, grade=0.0))
    assert score.points == pytest.approx(-120 - 10 / 2 - 10 / 9, abs=1e-3)
    assert scoring.clean(1.0).points == -120


def test_an_empty_form_is_worth_nothing_on_either():
    score = scoring.flawed(0.5, findings(right=None, grade=0.0))
    assert (score.points, score.possible) == (0, 100)
    assert (scoring.clean(0.5).points, scoring.clean(0.5).possible) == (0, 40)


def test_a_coin_loses_forty_on_average():
    blank = findings(right=None, grade=0.0)
    assert mean(scoring.flawed(p, blank).points for p in (0.0, 1.0)) == -40
    assert mean(scoring.clean(p).points for p in (0.0, 1.0)) == -40


def test_a_constant_has_its_pinned_scores():
    blank = findings(right=None, grade=0.0)
    assert scoring.flawed(0.7, blank).points == pytest.approx(25.6)
    assert scoring.clean(0.7).points == pytest.approx(-38.4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.01, 1.01])
def test_no_door_lets_in_a_probability_that_is_none(bad: float):
    with pytest.raises(ValidationError, match="p_flawed"):
        Diagnosis(p_flawed=bad)


@pytest.mark.parametrize(
    "text",
    [
        '{"p_flawed": NaN}',
        '{"p_flawed": Infinity}',
        '{"family": "patch", "claim": {"a": NaN}}',
        '{"family": "patch", "claim": {"a": [1, {"b": -Infinity}]}}',
    ],
)
def test_a_json_text_with_nan_is_refused(text: str):
    with pytest.raises(ValidationError, match=r"p_flawed|claim"):
        Diagnosis.model_validate_json(text)


@pytest.mark.parametrize(
    "claim",
    [
        {"words": {"a", "b"}},
        {"rule": {"sea": "fish", 2: "key"}},
        functools.reduce(lambda inner, _: {"in": inner}, range(5000), {}),
    ],
    ids=["set", "mixed keys", "deep"],
)
def test_a_claim_that_is_not_json_is_refused(claim: dict):
    with pytest.raises(ValidationError, match="not plain JSON"):
        Diagnosis(claim=claim)


@pytest.mark.parametrize("field", ["points", "possible"])
@pytest.mark.parametrize("where", ["total", "component"])
def test_the_ledger_records_no_nan(tmp_path, field: str, where: str):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    player = ledger.player("ada")
    good = {"points": 1.0, "possible": 40.0}
    bad = good | {field: math.nan}
    with pytest.raises(ValidationError, match=field):
        Component(name="detection", words="", **bad)
    part = Component.model_construct(
        name="detection", words="", **(bad if where == "component" else good)
    )
    score = Score.model_construct(components=(part,), **(bad if where == "total" else good))
    with pytest.raises(AuditgameError, match="not a finite number"):
        ledger.submit(player, "case-1", Diagnosis(), score, 3)
    sneaked = Diagnosis.model_construct(
        p_flawed=math.nan, family=None, claim=None, units=(), notes=""
    )
    whole = Score(components=(), **good)
    with pytest.raises(AuditgameError, match="p_flawed"):
        ledger.submit(player, "case-1", sneaked, whole, 3)
    assert ledger.entries().empty and ledger.attempts(player, "case-1") == (0, 0)


# -------------------------------------------------------------------- parts


@given(SHARES, SHARES)
def test_nobody_gains_by_saying_other_than_what_they_believe(belief: float, said: float):
    def expected(p: float) -> float:
        yes, no = detection(p, True).points, detection(p, False).points
        return belief * yes + (1 - belief) * no

    assert expected(belief) >= expected(said) - 1e-9
    if abs(belief - said) > 1e-3:
        assert expected(belief) > expected(said)


@given(SHARES)
def test_detection_weighs_flawed_and_innocent_alike(p: float):
    assert detection(p, True).points == pytest.approx(detection(1 - p, False).points)
    assert -120 <= detection(p, True).points <= 40


@given(st.integers(2, 200), st.floats(1, 60))
def test_a_blind_guess_is_worth_nothing_on_average(options: int, possible: float):
    right = choice("family", True, options, possible).points
    wrong = choice("family", False, options, possible).points
    assert right + (options - 1) * wrong == pytest.approx(0, abs=1e-9)
    assert choice("family", None, options, possible).points == 0


def test_a_family_that_is_the_only_one_on_offer_earns_nothing_by_itself():
    guess = findings(right=None, grade=0.0, family=(True, 1))
    score = scoring.flawed(0.5, guess)
    assert (score.points, score.possible) == (0, 100)
    oracle = scoring.flawed(1.0, findings(family=(True, 1)))
    assert (oracle.points, oracle.possible) == (100, 100)


@pytest.mark.parametrize("target", [(True, 10), None])
@pytest.mark.parametrize("moved", [1.0, None])
@pytest.mark.parametrize("families", [1, 4])
def test_parts_that_a_family_lacks_leave_their_points_to_the_rest(target, moved, families):
    found = findings(target=target, mechanism=moved, family=(True, families))
    score = scoring.flawed(1.0, found)
    assert score.points == pytest.approx(100, abs=1e-3)
    assert sum(part.possible for part in score.components[1:]) == pytest.approx(60, abs=1e-3)
    names = {part.name for part in score.components}
    assert ("target" in names) == (target is not None)
    assert ("mechanism" in names) == (moved is not None)


@given(SHARES, SHARES, SHARES)
def test_the_total_is_the_sum_of_its_parts(p: float, grade: float, moved: float):
    score = scoring.flawed(p, findings(grade=grade, mechanism=moved))
    assert score.points == pytest.approx(sum(part.points for part in score.components), abs=1e-3)
    assert score.points <= score.possible == 100
    assert all(part.words or part.name == "mechanism" for part in score.components)


def test_closeness_counts_as_far_as_the_claim_comes_true():
    only_looks = scoring.trigger(findings(functional=0.0))
    only_works = scoring.trigger(findings(field_scores={}))
    assert (only_looks.points, only_works.points) == (0, 12.5)
    half_true = findings(field_scores={"box": 0.0, "pattern": 1.0}, functional=0.5)
    assert scoring.trigger(half_true).points == 25 * 0.5 * 0.75


@given(st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=9))
def test_claims_that_chance_is_the_mean_of_are_worth_nothing_on_average(claims):
    chance = claim_share(mean(f for f, _ in claims), mean(f * close for f, close in claims))
    assume(chance < 0.99)
    points = [
        scoring.trigger(findings(functional=f, field_scores={"box": close}, chance=chance)).points
        for f, close in claims
    ]
    assert mean(points) == pytest.approx(0, abs=1e-6)


def test_a_claim_that_does_worse_than_chance_costs_and_no_claim_costs_nothing():
    wrong = scoring.trigger(findings(grade=0.0, chance=0.2))
    assert wrong.points == pytest.approx(-25 * 0.2 / 0.8)
    assert "Random claims earn 20%" in wrong.words
    assert scoring.trigger(findings(right=None, chance=0.2)).points == 0
    assert scoring.trigger(findings(chance=0.2)).points == 25


@pytest.mark.parametrize(("chance", "asked_for"), [(0.75, True), (0.7501, False), (1.0, False)])
def test_a_claim_that_chance_gets_right_is_no_choice(chance: float, asked_for: bool):
    score = scoring.flawed(1.0, findings(chance=chance))
    assert (score.points, score.possible) == pytest.approx((100, 100), abs=1e-3)
    assert ("trigger" in {part.name for part in score.components}) == asked_for
    assert scoring.flawed(0.5, findings(right=None, grade=0.0, chance=chance)).points == 0


def test_where_there_is_nothing_to_choose_detection_is_the_whole_score():
    found = findings(family=(True, 1), target=None, mechanism=None, chance=1.0)
    assert (scoring.flawed(1.0, found).points, scoring.flawed(1.0, found).possible) == (40, 40)


@given(SHARES, SHARES, SHARES)
def test_mechanism_runs_from_random_units_to_the_best(said: float, best: float, random: float):
    value = mechanism(said, best, random)
    assert -1 <= value <= 1
    if best > random:
        assert mechanism(best, best, random) == 1
        assert mechanism(random, best, random) == 0
        assert (value < 0) == (said < random)
    else:
        assert value == 0


def test_units_that_carry_less_than_random_ones_cost():
    assert mechanism(0.1, 0.5, 0.2) == pytest.approx(-1 / 3)
    assert mechanism(0.0, 0.3, 0.2) == -1
