"""The statistics of the benchmarks, on numbers whose answer is known."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from rule_models import LookupPicture, Tints

from auditgame.evaluation.mechanism import check_units
from auditgame.exhibits import Exhibit, Grid, Table
from auditgame.flaws.patch import PatchClaim
from auditgame.ledger.standings import share_interval
from auditgame.specimen import Specimen
from benchmarks.builds import due, kinds
from benchmarks.chance import balanced, guessed_units
from benchmarks.coverage import METHODS, Resamples, populations
from benchmarks.leaks import WANTED, leak_row, missing, wishes
from benchmarks.tool_sensitivity import behaviour, clustering, mistakes, separation, unlike

CLAIM = {"box": {"x": 1, "y": 1, "w": 1, "h": 1}, "pattern": [["#ffffff"]]}
STANDINGS = "percentile bootstrap, a case at either end (standings)"


def test_the_interval_of_a_perfect_separation_does_not_collapse():
    found = separation([5.0, 6, 7, 8, 9], list(np.linspace(0, 1, 40)))
    assert found.auc == found.high == 1.0
    assert 0.6 < found.low < 0.95
    more = separation(list(np.linspace(5, 9, 50)), list(np.linspace(0, 1, 40)))
    assert found.low < more.low < 1.0


def test_the_interval_holds_the_value_and_mirrors():
    flawed, innocent = [1.0, 2, 3, 4, 9], [0.0, 2, 3, 5, 6, 7]
    there, back = separation(flawed, innocent), separation(innocent, flawed)
    assert there.low < there.auc < there.high
    assert there.auc == pytest.approx(1 - back.auc)
    assert (there.low, there.high) == pytest.approx((1 - back.high, 1 - back.low), abs=1e-9)


def test_every_kind_is_due_and_no_build_twice():
    tasks = [(kind.recipe.name, kind.family, seed) for kind, seed in due(kinds(), [])]
    assert len(tasks) == len(set(tasks)) == sum(kind.count for kind in kinds())
    first = tasks[: len(kinds())]
    assert len({task[:2] for task in first}) == len(kinds()), "one of each comes first"


def test_what_was_built_counts_whatever_its_seed():
    kind = next(kind for kind in kinds() if kind.recipe.name == "digits")
    family, all_of_them = kind.family, [seed for _, seed in due([kind], [])]
    done = [
        {"recipe": "digits", "family": family, "seed": str(seed)}
        for seed in (all_of_them[0], 77, 78)
    ]
    assert [seed for _, seed in due([kind], done)] == all_of_them[1 : kind.count - 2]
    assert due([kind], [{**row, "seed": str(number)} for number, row in enumerate(done * 2)]) == []


def test_the_leak_study_builds_each_model_once_and_from_a_base_of_its_own():
    wanted = wishes("image", 5)
    assert [wish.flawed for wish in wanted] == [True, False] * 5
    seeds = [next(wish.seeds()) for wish in wanted]
    assert len(set(seeds)) == len(wanted) and len(wishes(None, WANTED)) == 4 * WANTED
    rows = [
        {"modality": "image", "flawed": str(wish.flawed), "seed": str(seed)}
        for wish, seed in zip(wanted[:3], seeds[:3], strict=True)
    ]
    assert missing(wanted, rows) == wanted[3:]
    row = leak_row({**rows[0], "recipe": "digits", "numbers": '{"loss": 0.5}'})
    assert row.flawed and row.numbers == {"loss": 0.5} and row.base == f"digits {seeds[0]}"


class Shown(NamedTuple):
    """A desk at which every tool shows the same."""

    exhibits: list[Exhibit]

    @property
    def context(self):
        return self

    @property
    def examples(self):
        return range(100)

    def run_tool(self, tool, **options):
        return self


def _cut(*rows: tuple[float | None, float | None]) -> Shown:
    columns = ("silhouette", "reference_silhouette")
    return Shown([Table(name="classes", title="", columns=columns, rows=rows)])


def test_an_answer_that_few_pictures_get_is_passed_over():
    assert clustering(_cut((0.5, 0.2), (None, None), (0.9, None))) == pytest.approx(0.3)
    assert clustering(_cut((None, None))) is None


def test_where_nothing_is_written_down_there_is_nothing_to_read():
    assert behaviour(Shown([])) is None
    columns = ("image", "reference_model")
    rows = (("#0", 0.25), ("#1", None))
    table = Table(name="correlations", title="", columns=columns, rows=rows)
    assert unlike("gradcam")(Shown([table])) == 0.75


def test_the_largest_group_of_the_same_wrong_answer_is_counted():
    classes, values = ("bad", "good"), ((40, 7), (3, 50))
    grid = Grid(name="confusion", title="", rows=classes, columns=classes, values=values)
    assert mistakes(Shown([grid])) == 0.07


def test_intervals_that_are_compared_are_those_of_the_standings():
    points = np.array([[100.0, 0, 40, -120, 90, 60], [100.0] * 6])
    possible = np.full_like(points, 100.0)
    rng = np.random.default_rng(1)
    resamples = Resamples(rng.multinomial(6, np.full(6, 1 / 6), size=400))
    shares = points.sum(1) / possible.sum(1)
    for name, method in METHODS.items():
        low, high = method(points, possible, resamples)
        assert low[0] < shares[0] < high[0], name
    low, high = METHODS["percentile bootstrap"](points, possible, resamples)
    assert low[1] == high[1] == 1
    again = share_interval(points, possible, 400, np.random.default_rng(0))
    assert np.array_equal(METHODS[STANDINGS](points, possible, resamples), again)


def test_populations_hold_what_each_auditor_has_on_record():
    found = populations()
    assert found["empty"].sum(0).tolist() == [0, 3840]
    assert found["steady 60 %"][:, 0] == pytest.approx(0.6 * found["steady 60 %"][:, 1])
    assert (found["right in 90 %"][:, 0] < 0).mean() == 0.1


def test_guesses_are_balanced_over_targets_and_units():
    said = [PatchClaim.parse(CLAIM | {"target": t}) for t in ("a", "a", "a", "b", "b", "c")]
    assert [claim.target for claim in balanced(said, 4)] == ["a", "b", "c", "a"]
    image = Specimen(LookupPicture(), Tints())
    hands = list(itertools.islice(guessed_units(image, np.random.default_rng(0)), 50))
    check = [check_units(image, units) for units in hands]
    assert len(check) == 50 and all(len(set(units)) == len(units) for units in hands)
