"""Two ways to do the same thing, timed side by side in one run.

Entrants take turns, one thread each, and their CPU time is what counts: the median over the
rounds. What is over within milliseconds is done many times in a turn, as `timeit` does. A ratio
is only printed with the agreement of the results beside it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Run = Callable[[], Any]
TURN = 0.2
"""A turn takes no less, in seconds, if need be by running the same again and again."""


class Peer(NamedTuple):
    """Another way to the same result.

    goal: our time must be this many times smaller (for a floor: at most this many times it).
    agree: from our result and its own, how far they agree, in words.
    share: the part of the whole task that it does (its time is divided by it).
    """

    name: str
    run: Run
    goal: float
    agree: Callable[[Any, Any], str]
    share: float = 1.0
    floor: bool = False


class Line(NamedTuple):
    """One row of the table. ratio: of the times, or of the time to the limit."""

    task: str
    against: str
    ours: float
    theirs: float
    ratio: float
    goal: str
    met: bool
    agreement: str


def passes_only(_ours: Any, _theirs: Any) -> str:
    """What a floor agrees on: it computes nothing else."""
    return "the same network and images"


def floor(run: Run, most: float) -> Peer:
    """The passes through the network that the task cannot do without."""
    return Peer("floor: bare passes", run, most, passes_only, floor=True)


def race(task: str, ours: Run, peers: Sequence[Peer], rounds: int = 3) -> list[Line]:
    """Let all run in turn, `rounds` times after one warm-up, and compare."""
    runs = [ours, *(peer.run for peer in peers)]
    results = [run() for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds):
        for place in range(len(runs)):
            number = (place + turn) % len(runs)
            times[number].append(seconds(runs[number], least=TURN))
    mine, *others = (statistics.median(found) for found in times)
    return [
        _line(task, peer, mine, spent / peer.share, peer.agree(results[0], result))
        for peer, spent, result in zip(peers, others, results[1:], strict=True)
    ]


def seconds(run: Run, clock: Callable[[], float] = time.process_time, least: float = 0.0) -> float:
    """How long does one run take? CPU seconds, or those of another clock.

    least: run again and again until so many seconds are over, and take the mean.
    """
    gc.collect()
    start, runs = clock(), 0
    while not runs or clock() - start < least:
        run()
        runs += 1
    return (clock() - start) / runs


def limit(task: str, spent: float, most: float, unit: str, found: str) -> Line:
    """A row for what must stay under a limit. found: what came out."""
    return Line(task, "a limit", spent, most, spent / most, f"under {unit}", spent < most, found)


def _line(task: str, peer: Peer, mine: float, theirs: float, agreement: str) -> Line:
    if peer.floor:
        ratio, goal = mine / theirs, f"at most {peer.goal:g} times"
        return Line(task, peer.name, mine, theirs, ratio, goal, ratio <= peer.goal, agreement)
    ratio = theirs / mine
    goal = f"{peer.goal:g} times faster" if peer.goal != 1 else "no slower"
    return Line(task, peer.name, mine, theirs, ratio, goal, ratio >= peer.goal, agreement)


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    head = "| task | against | ours, s | theirs, s | ratio | goal | met | agreement |"
    rows = [
        f"| {line.task} | {line.against} | {line.ours:.3g} | {line.theirs:.3g} "
        f"| {line.ratio:.2f} | {line.goal} | {'yes' if line.met else 'no'} | {line.agreement} |"
        for line in lines
    ]
    return "\n".join([head, "|" + "---|" * 8, *rows]) + "\n"
