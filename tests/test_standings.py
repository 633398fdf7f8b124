"""Standings: pinned examples, intervals, and what adding a player may not change."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditgame.ledger.standings import COLUMNS, REQUIRED, interval_text, share_interval, standings
from auditgame.schema.errors import AuditgameError


def table(*rows: tuple) -> pd.DataFrame:
    """Entries from (player, challenge, attempt, points, possible, queries)."""
    full = [(p, "human", c, a, points, possible, q) for p, c, a, points, possible, q in rows]
    return pd.DataFrame(full, columns=list(REQUIRED))


def by_player(entries: pd.DataFrame, *args, **options) -> dict[str, dict]:
    return standings(entries, *args, **options).set_index("player").to_dict("index")


def test_points_over_everything_the_pack_offers() -> None:
    rows = by_player(
        table(("ada", "a", 1, 90, 100, 5), ("ada", "b", 1, 20, 40, 7), ("bob", "a", 1, 50, 100, 1))
    )
    assert rows["ada"]["points"] == 110
    assert rows["ada"]["possible"] == 140
    assert rows["ada"]["share"] == pytest.approx(110 / 140)
    assert rows["ada"]["queries"] == 12
    assert (rows["bob"]["played"], rows["bob"]["coverage"]) == (1, 0.5)
    assert rows["bob"]["played_share"] == 0.5
    assert (rows["ada"]["rank"], rows["bob"]["rank"]) == (1, 2)


def test_one_easy_case_does_not_rank_first() -> None:
    rows = by_player(
        table(
            ("lucky", "easy", 1, 40, 40, 0),
            ("steady", "easy", 1, 30, 40, 9),
            ("steady", "hard", 1, 30, 100, 9),
        )
    )
    assert rows["lucky"]["played_share"] == 1
    assert (rows["steady"]["rank"], rows["lucky"]["rank"]) == (1, 2)


def test_only_first_attempts_count() -> None:
    rows = by_player(table(("ada", "a", 1, 10, 100, 1), ("ada", "a", 2, 100, 100, 1)))
    assert rows["ada"]["points"] == 10
    assert standings(table(("ada", "a", 2, 100, 100, 1))).empty


def test_ties_share_a_rank_and_fewer_queries_rank_first() -> None:
    found = standings(
        table(
            ("many", "a", 1, 0.1 + 0.2, 100, 50),
            ("few", "a", 1, 0.3, 100, 2),
            ("last", "a", 1, -5, 100, 1),
        )
    )
    assert list(found["player"]) == ["few", "many", "last"]
    assert list(found["rank"]) == [1, 1, 3]
    assert list(found["tied"]) == [True, True, False]


def test_the_pack_may_be_named() -> None:
    entries = table(("ada", "a", 1, 10, 40, 1), ("ada", "other", 1, 90, 100, 1))
    rows = by_player(entries, ["a", "nobody-played-this"])
    assert rows["ada"]["points"] == 10
    assert rows["ada"]["possible"] == 140
    assert rows["ada"]["coverage"] == 0.5


def test_no_entries_give_an_empty_table_with_every_column() -> None:
    empty = standings(table())
    assert list(empty.columns) == list(COLUMNS)
    assert len(empty) == 0


def pack(*points: float, player: str = "ada") -> list[tuple]:
    """One row for each of these points, of 100 possible each."""
    return [(player, f"c{case}", 1, value, 100, 1) for case, value in enumerate(points)]


def test_rank_intervals_come_from_the_generator() -> None:
    draw = np.random.default_rng(3)
    rows = [row for p in ("ada", "bob") for row in pack(*draw.integers(-40, 100, 12), player=p)]
    rows += pack(*[30.0] * 12, player="eve")
    first, again = (standings(table(*rows), rng=np.random.default_rng(7)) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["low"] < first["share"]).all()
    assert (first["share"] < first["high"]).all()
    assert (first["rank_low"] <= first["rank_high"]).all()
    other = standings(table(*rows), rng=np.random.default_rng(8))
    assert not other["low"].equals(first["low"])


def test_rank_intervals_agree_with_a_slow_bootstrap() -> None:
    rows = pack(*(10.0 * c for c in range(8))) + pack(*[35.0] * 8, player="bob")
    found = by_player(table(*rows), draws=4000, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    first = sum(10 * rng.integers(0, 8, size=8).sum() >= 280 for _ in range(4000))
    assert (found["ada"]["rank_low"], found["ada"]["rank_high"]) == (1, 2)
    assert 0.3 < first / 4000 < 0.7


def test_intervals_agree_with_a_slow_bootstrap() -> None:
    rows = by_player(table(*pack(*(10.0 * c for c in range(8)))), draws=4000)
    cases, rng = [*(10.0 * c for c in range(8)), 100.0, -120.0], np.random.default_rng(1)
    shares = [rng.choice(cases, 10).sum() / 1000 for _ in range(4000)]
    low, high = np.percentile(shares, (2.5, 97.5))
    assert rows["ada"]["low"] == pytest.approx(low, abs=0.03)
    assert rows["ada"]["high"] == pytest.approx(high, abs=0.03)


def test_equal_results_do_not_make_an_interval_without_width() -> None:
    rows = by_player(table(*pack(*[100.0] * 5), *pack(*[0.0] * 5, player="bob")))
    assert rows["ada"]["low"] < 0.9 and rows["ada"]["high"] == 1
    assert rows["bob"]["low"] < -0.1 and rows["bob"]["high"] > 0.1
    more = by_player(table(*pack(*[100.0] * 50)))
    assert rows["ada"]["low"] < more["ada"]["low"] < 1


@pytest.mark.parametrize("size", [5, 16, 48])
def test_intervals_cover(size: int) -> None:
    rng = np.random.default_rng(size)
    own = np.array([100.0, 100.0, 40.0, -25.0, 0.0]), np.array([100.0, 100.0, 40.0, 100.0, 100.0])
    drawn = rng.integers(0, 5, (2000, size))
    low, high = share_interval(own[0][drawn], own[1][drawn], 400, rng)
    true = own[0].sum() / own[1].sum()
    assert 0.92 < ((low <= true) & (true <= high)).mean() < 0.99


@pytest.mark.parametrize(("played", "size", "given"), [(5, 5, True), (4, 9, False), (4, 4, False)])
def test_no_interval_below_five_challenges(played: int, size: int, given: bool) -> None:
    rows = pack(*range(played)) + pack(*range(10, 10 + size), player="bob")
    found = standings(table(*rows)).set_index("player").loc["ada"]
    shown = found[["low", "high", "rank_low", "rank_high"]].notna()
    assert shown.all() if given else not shown.any()
    assert (interval_text(found["low"], found["high"]) == "-") != given


def test_an_interval_is_shown_in_percent() -> None:
    assert interval_text(-0.021, 0.5) == "-2% to 50%"


@pytest.mark.parametrize("column", ["points", "possible", "queries"])
@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_a_number_is_refused(column: str, value: float | None) -> None:
    entries = table(("ada", "a", 1, 10.0, 100.0, 1.0), ("nan", "a", 1, 10.0, 100.0, 1.0))
    entries.loc[1, column] = value
    with pytest.raises(AuditgameError, match="finite"):
        standings(entries)


def test_a_doubled_first_attempt_and_a_missing_column_are_refused() -> None:
    twice = table(("ada", "a", 1, 10, 100, 1), ("ada", "a", 1, 10, 100, 1))
    with pytest.raises(AuditgameError, match="twice"):
        standings(twice)
    with pytest.raises(AuditgameError, match="no column 'possible'"):
        standings(twice.drop(columns="possible"))


def test_another_player_never_changes_an_interval() -> None:
    rows = pack(90, -40, 60, 100, 30, -10)
    before = by_player(table(*rows))["ada"]
    after = by_player(table(*rows, *pack(1, 2, 3, 4, 5, 6, player="bob")))["ada"]
    assert (after["low"], after["high"]) == (before["low"], before["high"])


games = st.dictionaries(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(["x", "y", "z"])),
    st.floats(-120, 100, allow_nan=False),
    min_size=1,
)


@settings(deadline=None, max_examples=25)
@given(games, st.lists(st.floats(-120, 100), min_size=1, max_size=3))
def test_another_player_never_changes_anybodys_points(games: dict, other: list[float]) -> None:
    rows = [(p, c, 1, points, 100, 1) for (p, c), points in games.items()]
    more = rows + [("new", c, 1, points, 100, 1) for c, points in zip("xyz", other, strict=False)]
    pack = ["x", "y", "z"]
    before = by_player(table(*rows), pack, draws=20)
    after = by_player(table(*more), pack, draws=20)
    fixed = ("points", "share", "possible", "played", "coverage")
    for player, row in before.items():
        was = {k: row[k] for k in fixed}
        assert {k: after[player][k] for k in fixed} == pytest.approx(was, abs=1e-9)
        assert after[player]["rank"] >= row["rank"]


@settings(deadline=None, max_examples=25)
@given(games)
def test_order_of_entries_does_not_matter(games: dict) -> None:
    rows = [(p, c, 1, points, 100, 1) for (p, c), points in games.items()]
    forward, backward = standings(table(*rows), draws=20), standings(table(*rows[::-1]), draws=20)
    pd.testing.assert_frame_equal(forward, backward)
    ranked = forward.sort_values("rank", kind="stable")["points"]
    assert ranked.is_monotonic_decreasing
