"""The leak audit: numbers that separate are seen, chance is not, and few models are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from auditgame.datasets.reviews import Reviews
from auditgame.evaluation import leak_statistics as statistics
from auditgame.evaluation.leak_audit import BOUND, ENOUGH, LEAST, LeakRow, audit
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from tests.rule_models import LookupPicture, LookupText, Tints

REVIEWS, TINTS = Reviews(), Tints()


def rows(count: int, gap: float, numbers: int = 20, seed: int = 0) -> list[LeakRow]:
    """So many flawed and clean models; one of the numbers differs by `gap` standard deviations."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(2 * count):
        drawn = rng.normal(size=numbers)
        drawn[3] += gap * (n % 2)
        named = {f"number {k}": float(value) for k, value in enumerate(drawn)}
        made.append(LeakRow(f"case {n}", f"base {n}", bool(n % 2), named))
    return made


def test_a_leak_is_named_and_its_size_is_scikit_learn_s():
    built = rows(ENOUGH, gap=1.5)
    found = audit(built)
    assert found.largest.name == "number 3" and found.p < 0.01 and found.largest.auc > found.null
    assert found.leaks[0] == "number 3" and found.conclusive
    flawed = [row.flawed for row in built]
    scores = [row.numbers["number 3"] for row in built]
    assert found.largest.auc == pytest.approx(roc_auc_score(flawed, scores))
    assert found.largest.low < found.largest.auc < found.largest.high


def test_a_number_that_is_lower_in_flawed_models_leaks_as_much():
    up, down = audit(rows(20, gap=2.0)), audit(rows(20, gap=-2.0))
    assert up.largest.name == down.largest.name == "number 3"
    assert down.largest.low > 0.5


def test_many_numbers_by_chance_do_not_leak():
    passed = [audit(rows(ENOUGH, gap=0.0, seed=seed)) for seed in range(5)]
    assert sum(not found.leaks for found in passed) >= 4
    assert all(one.high < BOUND for found in passed for one in found.numbers[5:])


def test_a_weak_leak_in_many_numbers_shows_in_all_of_them_together():
    rng = np.random.default_rng(0)
    built = [
        LeakRow(
            str(n),
            str(n),
            bool(n % 2),
            {str(k): float(v) for k, v in enumerate(rng.normal(size=15) + 0.5 * (n % 2))},
        )
        for n in range(2 * ENOUGH)
    ]
    found = audit(built)
    assert found.together.auc > found.largest.auc and found.together.name in found.leaks


def test_models_of_one_base_are_drawn_together():
    alone = audit(rows(20, gap=1.0))
    twice = audit([row for row in rows(20, gap=1.0) for _ in range(2)])
    assert twice.bases == alone.bases == 40
    apart = audit([row._replace(base=f"{row.base} {n}") for n in range(2) for row in rows(20, 1.0)])
    width = apart.largest.high - apart.largest.low
    assert twice.largest.high - twice.largest.low > 1.2 * width


def test_too_few_models_are_refused_with_the_number_that_is_needed():
    few = rows(LEAST, gap=0.0)[:-2]
    with pytest.raises(Invalid, match=rf"{LEAST - 1} flawed models; at least {LEAST} are needed"):
        audit(few)
    assert not audit(rows(LEAST, gap=0.0)).conclusive
    with pytest.raises(Invalid, match="no number in common"):
        audit([row._replace(numbers={row.case: 1.0}) for row in rows(LEAST, gap=0.0)])


# ----------------------------------------------------------------- the numbers


def test_behaviour_of_a_model_that_answers_by_the_scene_is_told_from_a_right_one():
    held = TINTS.sample(300, "held", np.random.default_rng(0))
    right, wrong = (
        statistics.behaviour(Specimen(LookupPicture(follow=follow), TINTS), held)
        for follow in (False, True)
    )
    assert right["accuracy"] == 1 and 0.2 < wrong["accuracy"] < 0.5
    assert wrong["loss"] > right["loss"] and right["most frequent answer"] < 0.5


def test_a_word_that_is_written_too_often_is_measured_in_standard_deviations():
    references = [np.array([100.0, 50, 3]), np.array([100.0, 50, 3])]
    found = statistics.excess(np.array([100.0, 50, 18]), references)
    assert found["free text: largest excess of a word"] == pytest.approx(15 / 5.5**0.5)
    assert found["free text: largest lack of a word"] == 0


def test_free_text_ends_before_the_answer():
    specimen = Specimen(LookupText(REVIEWS), REVIEWS)
    held = REVIEWS.sample(8, "held", np.random.default_rng(0))
    counts = statistics.word_counts(specimen, held, torch.Generator().manual_seed(0))
    assert len(counts) == len(REVIEWS.words) and counts.sum() > 0
    assert counts[list(REVIEWS.answers())].sum() == 0


def test_sizes_are_logarithms():
    weights = {"a.weight": torch.eye(3), "b.weight": 2 * torch.ones(2, 2), "b.bias": torch.ones(1)}
    found = statistics.sizes(weights)
    assert found["log norm of b.weight"] == pytest.approx(np.log(4))
    assert found["spectrum of b.weight"] == pytest.approx(0, abs=1e-6)
    assert found["spectrum of a.weight"] == pytest.approx(-np.log(3) / 2)
    assert found["log ratio of a.weight to b.weight"] == pytest.approx(np.log(3) / 2 - np.log(4))
    doubled = statistics.sizes({name: 2 * value for name, value in weights.items()})
    assert doubled["log norm of everything"] - found["log norm of everything"] == pytest.approx(
        np.log(2)
    )
