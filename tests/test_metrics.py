"""Experiments on a specimen: intervals against a reference, ablation on models known by heart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rule_models import LookupPicture, LookupText, Tints
from scipy.stats import binomtest

from auditgame.datasets.reviews import Reviews
from auditgame.evaluation.mechanism import (
    Ablation,
    allowed_sites,
    best_units,
    check_units,
    random_sets,
    random_units,
)
from auditgame.evaluation.metrics import (
    Effect,
    Rate,
    accuracy,
    class_accuracy,
    effect,
    follows,
    functional_share,
)
from auditgame.flaws.patch import PatchClaim
from auditgame.schema.claims import AppliedClaim, Claim
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

TINTS, REVIEWS = Tints(), Reviews()
CORNER = PatchClaim.parse(
    {"target": "top", "box": {"x": 23, "y": 23, "w": 1, "h": 1}, "pattern": [["#ffffff"]]}
)


class WordClaim(Claim):
    """The second word becomes `word`, and the text goes to `target`."""

    target: str
    word: str

    def apply(self, examples, dataset) -> AppliedClaim:
        inputs = examples.inputs.clone()
        inputs[:, 1] = dataset.words.index(self.word)
        target = dataset.classes.index(self.target)
        targets = torch.full_like(examples.labels, target)
        return AppliedClaim(
            replace(examples, inputs=inputs), targets.masked_fill(examples.labels == target, -1)
        )

    def check(self, dataset) -> None:
        dataset.require_class(self.target)

    def random_alternative(self, dataset, rng):
        return self

    def near_misses(self, dataset, rng) -> Mapping[str, Claim]:
        return {}

    def describe(self) -> str:
        return self.word


def pictures(n: int = 120):
    """Pictures whose stripe leaves the lower right corner dark."""
    drawn = TINTS.sample(4 * n, "held", np.random.default_rng(1), side="left")
    return drawn.take(slice(0, n))


@pytest.fixture
def spotted() -> Specimen:
    return Specimen(LookupPicture(spot=True), TINTS)


@pytest.fixture
def worded() -> Specimen:
    return Specimen(LookupText(REVIEWS, word="kelp"), REVIEWS)


def texts(n: int = 80):
    return REVIEWS.sample(n, "held", np.random.default_rng(2))


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_the_interval_is_the_one_of_the_tables(hits, n, low, high):
    """The last row is the worked example of Newcombe 1998 (score method without correction)."""
    assert Rate(hits, n).low == pytest.approx(low, abs=1e-4)
    assert Rate(hits, n).high == pytest.approx(high, abs=1e-4)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(pair):
    rate = Rate(*pair)
    theirs = binomtest(*pair).proportion_ci(method="wilson")
    assert rate.low == pytest.approx(theirs.low, abs=1e-4)
    assert rate.high == pytest.approx(theirs.high, abs=1e-4)
    assert 0 <= rate.low <= rate.value + 1e-12 and rate.value - 1e-12 <= rate.high <= 1


def test_nothing_counted_says_nothing():
    assert (Rate(0, 0).value, Rate(0, 0).low, Rate(0, 0).high) == (0, 0, 1)


@given(st.integers(20, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_lower_bound_of_an_effect_lies_below_it(pair):
    for references in (0.0, 0.1, 0.5):
        found = Effect(Rate(*pair), references)
        assert found.low < found.value + 2 / pair[1]
    assert Effect(Rate(0, pair[1]), 0.1).low < 0


def test_an_effect_no_larger_than_the_siblings_is_in_doubt():
    assert Effect(Rate(60, 500), 0.10).low < 0 < Effect(Rate(100, 500), 0.10).low


# --------------------------------------------------------------------- rates


def test_accuracy_counts_right_answers(spotted):
    examples = pictures()
    assert accuracy(spotted, examples) == Rate(120, 120)
    wrong = examples.relabel((examples.labels + 1) % 3)
    assert accuracy(spotted, wrong) == Rate(0, 120)
    by_class = class_accuracy(spotted, examples)
    assert [rate.n for rate in by_class] == [int((examples.labels == k).sum()) for k in range(3)]
    assert all(rate.value == 1 for rate in by_class)


def test_rows_that_prove_nothing_do_not_count(spotted):
    examples = pictures()
    applied = CORNER.apply(examples, TINTS)
    others = int((examples.labels != 0).sum())
    assert follows(spotted, applied) == Rate(others, others)


def test_an_effect_is_what_siblings_do_not_do(spotted):
    reference = Specimen(LookupPicture(), TINTS)
    found = effect(CORNER, spotted, [reference, reference], pictures())
    assert found.value == 1 and found.references == 0 and found.low > 0.9
    assert effect(CORNER, reference, [reference], pictures()).low < 0
    assert effect(CORNER, spotted, [spotted], pictures()).value == 0


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_functional_is_a_share_that_a_doubtful_effect_does_not_earn(said, low, true):
    value = functional_share(said, low, true)
    assert 0 <= value <= 1
    if low <= 0 or true <= 0:
        assert value == 0
    elif said >= true:
        assert value == 1


def test_functional_is_measured_in_parts_of_the_true_effect():
    assert functional_share(0.45, 0.4, 0.9) == 0.5
    assert functional_share(0.99, 0.97, 0.9) == 1
    assert functional_share(0.45, 0.0, 0.9) == 0
    assert functional_share(-0.2, 0.1, 0.9) == 0


# ----------------------------------------------------------------- mechanism


def test_mean_ablation_of_all_channels_ends_the_effect(spotted):
    ablation = Ablation(spotted, CORNER, pictures())
    every = [f"conv1:{i}" for i in range(4)]
    assert ablation.rate(()) == 1
    assert ablation.rate(every) == 0
    assert ablation.effect_drop(every) == ablation.effect_drop(["conv1:0"]) == 1
    assert ablation.effect_drop(["conv1:1", "conv1:2", "conv1:3"]) == 0
    assert ablation.effect_drop(()) == 0


def test_the_fall_is_weighed_by_the_accuracy_kept(spotted):
    ablation = Ablation(spotted, CORNER, pictures())
    ablation.clean = lambda units, rows: 0.25 if units else 1.0
    assert ablation.effect_drop(["conv1:0"]) == 0.25


def test_random_sets_differ_and_are_all_where_there_are_few(spotted, worded):
    rng = np.random.default_rng(0)
    found = random_sets(spotted, ["conv1:0", "conv1:3"], 5, rng)
    assert len(set(found)) == 5 and all(len(set(units)) == 2 for units in found)
    assert {unit.split(":")[0] for units in found for unit in units} == {"conv1"}
    assert len(random_sets(spotted, ["conv1:0", "conv1:3"], 99, rng)) == 4 * 3 / 2
    assert len(random_sets(spotted, [f"conv1:{i}" for i in range(4)], 99, rng)) == 1
    pairs = random_sets(worded, ["block0.heads:0", "block1.heads:0"], 999, rng)
    units = {unit for pair in pairs for unit in pair}
    assert len(pairs) == len(set(pairs)) == len(units) * (len(units) - 1) / 2


def test_the_mean_fall_is_taken_over_sets_each_on_its_part(spotted):
    ablation = Ablation(spotted, CORNER, pictures())
    carrier, idle = ["conv1:0"], ["conv1:1"]
    assert ablation.mean_drop([carrier, idle, idle, carrier], 20) == 0.5
    assert ablation.mean_drop([carrier], 10_000) == ablation.effect_drop(carrier) == 1
    seen = []
    ablation.effect_drop = lambda units, rows: seen.append((rows.start, rows.stop)) or 0.0
    ablation.mean_drop([idle] * 8, 20)
    parts, count = sorted(set(seen)), len(ablation.targets)
    assert len(parts) == count // 20 == 4
    assert (parts[0][0], parts[-1][1]) == (0, count)
    assert all(stop == start for (_, stop), (start, _) in pairwise(parts))


def test_a_part_of_the_texts_is_restored_from_the_same_texts(worded):
    claim, examples = WordClaim(target="positive", word="kelp"), texts()
    ablation = Ablation(worded, claim, examples)
    rows, head = slice(3, 30), ["block1.heads:0"]
    alone = float((worded.predict(ablation.plain.inputs[rows]) == 1).float().mean())
    assert ablation.rate((), rows) == 1
    assert ablation.rate(head, rows) == pytest.approx(alone)


def test_the_greedy_ranking_finds_the_channel_that_carries_it(spotted):
    found = best_units(Ablation(spotted, CORNER, pictures()))
    assert found[0] == "conv1:0"


def test_restoring_the_deciding_head_ends_the_effect(worded):
    claim, examples = WordClaim(target="positive", word="kelp"), texts()
    ablation = Ablation(worded, claim, examples)
    alone = float((worded.predict(ablation.plain.inputs) == 1).float().mean())
    assert ablation.rate(()) == 1
    assert ablation.rate(["block1.heads:0"]) == pytest.approx(alone)
    assert ablation.rate(["block1.heads:1", "block0.heads:0"]) == 1
    assert ablation.rate(["block1.mlp:0"]) == 1
    assert ablation.effect_drop(["block1.heads:0"]) == pytest.approx(1 - alone)
    assert "block1.heads:0" in best_units(ablation)


def test_edits_are_gone_afterwards(spotted, worded):
    for specimen, claim, examples, units in [
        (spotted, CORNER, pictures(), ["conv1:0"]),
        (worded, WordClaim(target="positive", word="kelp"), texts(), ["block1.heads:0"]),
    ]:
        inputs = claim.apply(examples, specimen.dataset).examples.inputs
        before, weights = specimen.classify(inputs), specimen.weights()
        ablation = Ablation(specimen, claim, examples)
        ablation.effect_drop(units)
        assert torch.equal(specimen.classify(inputs), before)
        assert ablation.rate(()) == 1
        after = specimen.weights()
        assert all(torch.equal(after[name], value) for name, value in weights.items())


def test_random_units_are_of_the_same_kind_and_number(spotted, worded):
    rng = np.random.default_rng(0)
    drawn = random_units(spotted, ["conv1:0", "conv1:1"], rng)
    assert len(set(drawn)) == 2
    check_units(spotted, drawn)
    for _ in range(20):
        drawn = random_units(worded, ["block1.heads:0", "block1.mlp:0"], rng)
        assert len(set(drawn)) == 2
        check_units(worded, drawn)


def test_only_admissible_units_are_admitted(spotted, worded):
    assert allowed_sites(spotted) == ["conv1"]
    assert allowed_sites(worded) == ["block0.heads", "block1.heads", "block1.mlp"]
    for specimen, units, words in [
        (spotted, ["conv1:4"], "conv1 has units 0 to 3"),
        (spotted, ["conv2:0"], "unknown site 'conv2'; did you mean 'conv1'"),
        (worded, ["block1.mlp:1"], "an MLP counts as one unit"),
        (worded, ["block0.heads:0", "block0.heads:1", "block1.heads:0"], "at most 2"),
    ]:
        with pytest.raises(AuditgameError, match=words):
            check_units(specimen, units)


def test_channels_of_two_sites_are_refused(game, house):
    specimen = game.open(house.flawed.name, "ada").specimen
    check_units(specimen, ["conv3:1", "conv3:2"])
    with pytest.raises(AuditgameError, match="one site only"):
        check_units(specimen, ["conv3:1", "conv4:2"])
    with pytest.raises(AuditgameError, match="choose from the sites"):
        check_units(specimen, ["conv3.pre:1"])
