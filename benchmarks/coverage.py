"""Do the intervals of the standings hold? `python -m benchmarks.coverage`.

A player is a population of case results: those that each bundled auditor has on record, and some
made up. Cases are drawn from it with replacement, an interval is computed, and it holds if the
population's own share, points over points possible, lies in it. Prints, for each method and number
of cases, the mean coverage over the players, the least and the most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, t

from auditgame import paths
from auditgame.ledger.standings import share_interval

SIZES = (5, 8, 16, 48, 64)
SAMPLES, DRAWS = 1000, 400
"""Simulated players of one population and size; draws of a bootstrap."""
TAILS = (0.025, 0.975)
MADE_UP = 480
"""Cases of a population that is made up; a third are clean."""

Cases = Float[np.ndarray, "sample case"]
Bounds = tuple[Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]


class Resamples(NamedTuple):
    """How often each draw of a bootstrap takes each case, and the sums that it needs."""

    counts: Int[np.ndarray, "draw case"]

    def total(self, values: Cases) -> Float[np.ndarray, "sample draw"]:
        """The sum of these values over every draw."""
        return values @ self.counts.T


Method = Callable[[Cases, Cases, Resamples], Bounds]


def populations() -> dict[str, Float[np.ndarray, "case 2"]]:
    """Points and points possible of every case, player by player."""
    recorded: dict[str, dict[str, tuple[float, float]]] = {}
    for entry in map(json.loads, paths.baselines().read_text().splitlines()):
        score = entry["score"]["points"], entry["score"]["possible"]
        recorded.setdefault(entry["player"], {}).setdefault(entry["challenge"], score)
    found = {name: np.array(list(cases.values())) for name, cases in recorded.items()}
    number = np.arange(MADE_UP)
    possible = np.where(number % 3 == 0, 40.0, 100.0)
    tenth, half = number // 3 % 10, number // 3 % 2
    made_up = {
        "right in 90 %": np.where(tenth < 9, possible, -120.0),
        "a coin for detection": np.where(half == 0, 40.0, -120.0),
        "steady 60 %": 0.6 * possible,
        "half, or all": np.where(half == 0, possible, 0.5 * possible),
    }
    return found | {name: np.stack([points, possible], axis=1) for name, points in made_up.items()}


def share_and_error(points: Cases, possible: Cases) -> tuple[np.ndarray, np.ndarray]:
    """The share, and its standard error by linearisation (a ratio of two means)."""
    share = points.sum(1) / possible.sum(1)
    rest = points - share[:, None] * possible
    cases = points.shape[1]
    return share, np.sqrt((rest**2).sum(1) * cases / (cases - 1)) / possible.sum(1)


def t_of_means(points: Cases, possible: Cases, _: Resamples) -> Bounds:
    """The t interval of the mean points, over the mean possible as if that were fixed."""
    cases = points.shape[1]
    error = points.std(1, ddof=1) / cases**0.5 / possible.mean(1)
    share, wide = points.mean(1) / possible.mean(1), t.ppf(TAILS[1], cases - 1)
    return share - wide * error, share + wide * error


def ratio(points: Cases, possible: Cases, _: Resamples) -> Bounds:
    """The ratio with its linearised error and the t quantile."""
    share, error = share_and_error(points, possible)
    wide = t.ppf(TAILS[1], points.shape[1] - 1)
    return share - wide * error, share + wide * error


def with_ends(points: Cases, possible: Cases) -> tuple[Cases, Cases]:
    """The same with a whole case more at either end of the scale."""
    ends = np.broadcast_to([100.0, -120.0], (len(points), 2))
    full = np.full_like(ends, 100.0)
    return np.concatenate([points, ends], axis=1), np.concatenate([possible, full], axis=1)


def pseudo_cases(points: Cases, possible: Cases, resamples: Resamples) -> Bounds:
    """The ratio where a case is added at either end (after Agresti and Coull 1998)."""
    return ratio(*with_ends(points, possible), resamples)


def percentile(points: Cases, possible: Cases, resamples: Resamples) -> Bounds:
    """The percentile bootstrap over cases."""
    drawn = resamples.total(points) / resamples.total(possible)
    low, high = np.quantile(drawn, TAILS, axis=1)
    return low, high


def bca(points: Cases, possible: Cases, resamples: Resamples) -> Bounds:
    """The bootstrap corrected for bias and acceleration (Efron 1987)."""
    drawn = resamples.total(points) / resamples.total(possible)
    share = (points.sum(1) / possible.sum(1))[:, None]
    below = (drawn < share).mean(1) + 0.5 * (drawn == share).mean(1)
    bias = norm.ppf(np.clip(below, 0.5 / DRAWS, 1 - 0.5 / DRAWS))[:, None]
    left_out = (points.sum(1)[:, None] - points) / (possible.sum(1)[:, None] - possible)
    away = left_out.mean(1, keepdims=True) - left_out
    spread = (away**2).sum(1) ** 1.5
    acceleration = np.divide(
        (away**3).sum(1), 6 * spread, out=np.zeros(len(points)), where=spread > 0
    )[:, None]
    shifted = bias + norm.ppf(TAILS)
    levels = norm.cdf(bias + shifted / (1 - acceleration * shifted))
    ordered = np.sort(drawn, axis=1)
    picks = np.clip((levels * DRAWS).astype(int), 0, DRAWS - 1)
    low, high = np.take_along_axis(ordered, picks, axis=1).T
    return low, high


def bootstrap_t(points: Cases, possible: Cases, resamples: Resamples) -> Bounds:
    """The studentised bootstrap; draws without any spread are left out."""
    share, error = share_and_error(points, possible)
    cases, sums = points.shape[1], resamples.total(possible)
    drawn = resamples.total(points) / sums
    squares = (
        resamples.total(points**2)
        - 2 * drawn * resamples.total(points * possible)
        + drawn**2 * resamples.total(possible**2)
    )
    errors = np.sqrt(np.maximum(0, squares) * cases / (cases - 1)) / sums
    kept = errors > 1e-6
    ratios = np.divide(drawn - share[:, None], errors, out=np.full_like(errors, np.nan), where=kept)
    ratios[~kept.any(1)] = 0.0
    low, high = np.nanquantile(ratios, TAILS, axis=1)
    return share - high * error, share - low * error


def standings(points: Cases, possible: Cases, _: Resamples) -> Bounds:
    """What the standings use: the percentile bootstrap where a case is added at either end."""
    return share_interval(points, possible, DRAWS, np.random.default_rng(0))


METHODS: dict[str, Method] = {
    "percentile bootstrap": percentile,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "t interval of the mean points": t_of_means,
    "ratio, linearised, t": ratio,
    "ratio, a case at either end, t": pseudo_cases,
    "percentile bootstrap, a case at either end (standings)": standings,
}


def coverage(method: Method, size: int, flawed_only: bool = False) -> dict[str, float]:
    """How often the interval of so many cases holds each player's own share."""
    found = {}
    for name, population in populations().items():
        cases = population[population[:, 1] >= 100 * flawed_only]
        rng = np.random.default_rng(size)
        true = cases[:, 0].sum() / cases[:, 1].sum()
        drawn = cases[rng.integers(0, len(cases), (SAMPLES, size))]
        resamples = Resamples(rng.multinomial(size, np.full(size, 1 / size), size=DRAWS))
        low, high = method(drawn[:, :, 0], drawn[:, :, 1], resamples)
        found[name] = float(((low <= true + 1e-9) & (true - 1e-9 <= high)).mean())
    return found


def table(flawed_only: bool) -> Iterator[str]:
    """The table, line by line: mean coverage over players, the least and the most."""
    yield "Flawed cases alone, 100 points each:" if flawed_only else "Flawed and clean cases:"
    yield ""
    yield "| method | " + " | ".join(f"{size} cases" for size in SIZES) + " |"
    yield "|" + "---|" * (len(SIZES) + 1)
    for name, method in METHODS.items():
        cells = []
        for size in SIZES:
            shares = list(coverage(method, size, flawed_only).values())
            cells.append(f"{np.mean(shares):.1%} ({min(shares):.0%} to {max(shares):.0%})")
        yield f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print how the methods compare, on packs with and without clean cases."""
    print("\n".join([*table(flawed_only=False), "", *table(flawed_only=True)]))


if __name__ == "__main__":
    main()
