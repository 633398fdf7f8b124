"""Write the leaderboard in README.md and the page docs/results/auditors.md: `make board`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator

import pandas as pd

from auditgame import Game, paths
from auditgame.ledger.standings import interval_text
from auditgame.play import referee

README = paths.checkout() / "README.md"
AUDITORS = paths.checkout() / "docs" / "results" / "auditors.md"
START, END = "<!-- board: written by benchmarks/auditor_results.py -->\n", "<!-- end of board -->"
INTRO = """\
# Auditor results

Every bundled auditor on every challenge of the practice pack that it fits, with the challenge's own
tools and budget (`make baselines board`). Each cell holds the mean points over the challenges of a
family: at most 100 on a flawed model and 40 on a clean one. Empty cells: the auditor does not fit.
[How the auditors work](../reference/auditors.md).
"""
TOP = 6


def board() -> str:
    """The best of a fresh record: the bundled auditors over the practice pack."""
    with tempfile.TemporaryDirectory() as folder:
        game = Game(database=f"sqlite:///{folder}/board.db")
        table = game.standings().head(TOP)
        game.ledger.close()
    lines = [
        "| rank | player | points | of | 95 % interval | played |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        interval = interval_text(row["low"], row["high"])
        lines.append(
            f"| {row['rank']} | {row['player']} | {row['points']:.0f} | {row['possible']:.0f} "
            f"| {interval} | {row['played']} |"
        )
    return "\n".join(lines) + "\n"


def played() -> pd.DataFrame:
    """What every auditor won on every practice case: case, family, player, points."""
    entries = map(json.loads, paths.baselines().read_text().splitlines())
    rows = [(entry["challenge"], entry["player"], entry["score"]["points"]) for entry in entries]
    table = pd.DataFrame(rows, columns=["case", "player", "points"])
    families = {case: referee.open_key(paths.practice() / case).family for case in table.case}
    return table.assign(family=table.case.map(families))


def auditors(table: pd.DataFrame) -> Iterator[str]:
    """Who finds which family? The page, line by line."""
    yield INTRO
    cases = table.groupby("family").case.nunique()
    cells = table.pivot_table(index="family", columns="player", values="points", aggfunc="mean")
    yield "| family | challenges | " + " | ".join(cells.columns) + " |"
    yield "|" + "---|" * (2 + len(cells.columns))
    for family, row in cells.iterrows():
        points = ("" if pd.isna(value) else f"{value:.1f}" for value in row)
        yield f"| {family} | {cases[family]} | " + " | ".join(points) + " |"


def main() -> None:
    """Put the board into the README, and write the page."""
    head, rest = README.read_text().split(START)
    README.write_text(head + START + board() + END + rest.split(END)[1])
    AUDITORS.write_text("\n".join(auditors(played())) + "\n")


if __name__ == "__main__":
    main()
