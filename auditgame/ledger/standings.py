"""Standings: the ranking of players, derived from the entries and never stored.

The rank follows points over the whole pack, so playing one easy case leads nobody to the top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from auditgame.schema.errors import Invalid

REQUIRED = ("player", "bracket", "challenge", "attempt", "points", "possible", "queries")
UNPLAYED_POSSIBLE = 100.0
DECIMALS = 6  # Points are compared to this many decimals, so that equal sums tie.
PERCENTILES = (2.5, 97.5)
BATCH = 4_000_000  # Numbers of one block of the bootstrap.
FEWEST = 5
"""Over fewer challenges, or for a player who played fewer, no interval is given."""
ENDS, END_POSSIBLE = (100.0, -120.0), 100.0
"""Points of the two pseudo-cases, at the ends of the scale, and the points possible of each."""
COLUMNS = {
    "rank": "int64",
    "player": "object",
    "bracket": "object",
    "points": "float64",
    "possible": "float64",
    "share": "float64",
    "low": "float64",
    "high": "float64",
    "rank_low": "Int64",
    "rank_high": "Int64",
    "tied": "bool",
    "played": "int64",
    "coverage": "float64",
    "played_share": "float64",
    "queries": "int64",
}


def standings(
    entries: pd.DataFrame,
    challenges: Sequence[str] | None = None,
    draws: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """The ranking over these challenges (by default, all that were played).

    entries: as `Ledger.entries()` gives them. Only first attempts count; a challenge that a
    player did not play gives 0 points. One row per player, best first:

    rank: players with equal points share a rank (`tied`), ordered by fewer queries.
    points, possible, share: points over the points possible of all the challenges.
    low, high: the 95 % interval of the share (`share_interval`). rank_low, rank_high: that of
    the rank, by the percentile bootstrap over challenges (Efron 1979). Both take `draws` draws
    from `rng`; where that is None, from seed 0. Missing below five challenges, in all or of the
    player's own.
    played, coverage, played_share: the number and share of challenges played, and the points
    over the points possible of these alone.

    A challenge that nobody played counts as 100 points. AuditgameError for missing columns, for
    numbers that are not finite and for a first attempt that occurs twice.
    """
    pack = _pack(entries, challenges)
    first = _first_attempts(entries, pack)
    if first.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    points = _matrix(first, pack)
    possible = _possible(first, pack)
    table = _totals(first, points, possible)
    rng = np.random.default_rng(0) if rng is None else rng
    intervals = _intervals(points, possible, draws, rng)
    enough = (table["played"] >= FEWEST) & (len(pack) >= FEWEST)
    table = table.join(intervals.where(enough))
    table = table.reset_index().sort_values(["rank", "queries", "player"], ignore_index=True)
    return table[list(COLUMNS)].astype(COLUMNS)


def _pack(entries: pd.DataFrame, challenges: Iterable[str] | None) -> list[str]:
    missing = [name for name in REQUIRED if name not in entries.columns]
    if missing:
        raise Invalid(f"standings: no column '{missing[0]}'; give Ledger.entries()")
    return sorted(set(entries["challenge"] if challenges is None else challenges))


def _first_attempts(entries: pd.DataFrame, pack: list[str]) -> pd.DataFrame:
    first = entries.loc[(entries["attempt"] == 1) & entries["challenge"].isin(pack)]
    numbers = first[["points", "possible", "queries"]].to_numpy(dtype=float)
    if not np.isfinite(numbers).all() or (first["possible"] <= 0).any():
        raise Invalid("standings: points must be finite and possible above 0; see entries()")
    if first.duplicated(["player", "challenge"]).any():
        raise Invalid("standings: a first attempt occurs twice; give each entry once")
    return first


def _matrix(first: pd.DataFrame, pack: list[str]) -> pd.DataFrame:
    """Points by player and challenge, 0 where not played."""
    wide = first.pivot(index="player", columns="challenge", values="points")
    return wide.reindex(columns=pack).fillna(0.0).astype(float)


def _possible(first: pd.DataFrame, pack: list[str]) -> Float[np.ndarray, " challenge"]:
    known = first.groupby("challenge")[["possible"]].max()
    return known.reindex(pack).fillna(UNPLAYED_POSSIBLE)["possible"].to_numpy(dtype=float)


def _totals(
    first: pd.DataFrame, points: pd.DataFrame, possible: Float[np.ndarray, " challenge"]
) -> pd.DataFrame:
    by_player = first.groupby("player")
    table = pd.DataFrame({"points": points.sum(axis=1).round(DECIMALS) + 0.0})
    table["possible"] = possible.sum()
    table["share"] = table["points"] / table["possible"]
    table["rank"] = table["points"].rank(method="min", ascending=False)
    table["tied"] = table["points"].duplicated(keep=False)
    table["bracket"] = by_player["bracket"].first()
    table["played"] = by_player.size()
    table["coverage"] = table["played"] / points.shape[1]
    table["played_share"] = table["points"] / by_player["possible"].sum()
    table["queries"] = by_player["queries"].sum()
    return table


def share_interval(
    points: Float[np.ndarray, "player challenge"],
    possible: Float[np.ndarray, "#player challenge"],
    draws: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " player"], Float[np.ndarray, " player"]]:
    """The 95 % interval of each player's points over points possible, on challenges like these.

    Percentile bootstrap over the challenges and two pseudo-cases: one with all points, one with
    the loss of a sure and wrong detection. As Agresti and Coull (1998) add successes and failures
    to a proportion: a few equal results do not prove that all are equal.
    """
    whole = np.broadcast_to(possible, points.shape)
    values = np.pad(points, ((0, 0), (0, len(ENDS))))
    values[:, -len(ENDS) :] = ENDS
    whole = np.pad(whole, ((0, 0), (0, len(ENDS))), constant_values=END_POSSIBLE)
    size = values.shape[1]
    counts = rng.multinomial(size, np.full(size, 1 / size), size=draws)
    step = max(1, BATCH // draws)
    blocks = [slice(start, start + step) for start in range(0, len(values), step)]
    bounds = [
        np.percentile(counts @ values[some].T / (counts @ whole[some].T), PERCENTILES, axis=0)
        for some in blocks
    ]
    low, high = np.concatenate(bounds, axis=1)
    return low, high


def interval_text(low: float, high: float) -> str:
    """An interval as it is shown, '-' where there is none."""
    return "-" if math.isnan(low) else f"{low:.0%} to {high:.0%}"


def _intervals(
    points: pd.DataFrame,
    possible: Float[np.ndarray, " challenge"],
    draws: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Intervals of share and rank, as if there were enough challenges for them."""
    size, values = len(possible), points.to_numpy()
    low, high = share_interval(values, possible[None], draws, rng)
    counts = rng.multinomial(size, np.full(size, 1 / size), size=draws)
    ranks = _drawn_ranks(counts, values)
    best = np.percentile(ranks, PERCENTILES[0], axis=0, method="lower")
    worst = np.percentile(ranks, PERCENTILES[1], axis=0, method="higher")
    columns = {"low": low, "high": high, "rank_low": best, "rank_high": worst}
    return pd.DataFrame(columns, index=points.index)


def _drawn_ranks(
    counts: Int[np.ndarray, "draw challenge"], values: Float[np.ndarray, "player challenge"]
) -> Int[np.ndarray, "draw player"]:
    ranks = np.empty((len(counts), len(values)), dtype=np.int32)
    for draw, count in enumerate(counts):
        ranks[draw] = _ranks((values @ count).round(DECIMALS))
    return ranks


def _ranks(totals: Float[np.ndarray, " player"]) -> Int[np.ndarray, " player"]:
    """1 plus the number of players with more points; ties share the better rank."""
    return 1 + np.searchsorted(np.sort(-totals), -totals, side="left")
