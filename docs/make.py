"""Write the generated part of the README, the top of the board: `python -m docs.make`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from auditgame import Game, places

START, END = "<!-- board: written by docs/make.py -->\n", "<!-- end of board -->"
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
        interval = f"{row['low']:.0%} to {row['high']:.0%}"
        lines.append(
            f"| {row['rank']} | {row['player']} | {row['points']:.0f} | {row['possible']:.0f} "
            f"| {interval} | {row['played']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the board into the README."""
    path = Path(places.home() / "README.md")
    head, rest = path.read_text().split(START)
    path.write_text(head + START + board() + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
