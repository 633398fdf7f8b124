"""Run every bundled auditor on every practice case and keep the record: `make baselines`.

What was handed in before counts, so an interrupted run goes on; delete
`leaderboard/baselines.jsonl` to start afresh.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from auditgame import Game, paths
from auditgame.registry import load, names


def main() -> None:
    """Play, and write the entries where a fresh ledger finds them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    jobs = asked.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(jobs) as pool:
        game = seated(folder)
        for played in as_completed([pool.submit(play, folder, *task) for task in due(game)]):
            print(played.result(), flush=True)
            keep(game, Path(folder))
        game.ledger.close()


def seated(folder: str) -> Game:
    """The game on the practice pack, with what was handed in before."""
    return Game(packs=[paths.practice()], database=f"sqlite:///{folder}/run.db")


def due(game: Game) -> list[tuple[str, str]]:
    """Every case with every auditor that fits it and has not handed in."""
    return [
        (card.id, name)
        for card in game.cards()
        for name in names("auditor")
        if card.modality in load("auditor", name).modality
        and not game.ledger.receipts(game.player(name, "algorithm"), card.id)
    ]


def play(folder: str, case: str, auditor: str) -> str:
    """One auditor at one case; what it was worth, in words."""
    game = seated(folder)
    points = game.audit(case, auditor).score.points
    game.ledger.close()
    return f"{case} {auditor} {points:.1f}"


def keep(game: Game, folder: Path) -> None:
    """The entries so far, written beside and then renamed."""
    game.ledger.export(folder)
    target = paths.baselines()
    draft = target.with_suffix(".new")
    draft.write_bytes((folder / "entries.jsonl").read_bytes())
    draft.rename(target)


if __name__ == "__main__":
    main()
