"""Run every bundled auditor on every practice case and keep the record: `make baselines`.

What was handed in before counts, so an interrupted run goes on; delete
`leaderboard/baselines.jsonl` to start afresh.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from auditgame import Game, places
from auditgame.catalog import load, names
from auditgame.game import BASELINES


def main() -> None:
    """Play, and write the entries where a fresh ledger finds them."""
    with tempfile.TemporaryDirectory() as folder:
        game = Game(packs=[places.practice()], database=f"sqlite:///{folder}/run.db")
        for card in game.cards():
            for name in names("auditor"):
                done = game.ledger.receipts(game.player(name, "algorithm"), card.id)
                if card.modality in load("auditor", name).modality and not done:
                    points = game.audit(card.id, name).score.points
                    print(card.id, name, f"{points:.1f}", flush=True)
                    keep(game, Path(folder))
        game.ledger.close()


def keep(game: Game, folder: Path) -> None:
    """The entries so far, written beside and then renamed."""
    game.ledger.export(folder)
    target = places.record() / BASELINES
    draft = target.with_suffix(".new")
    draft.write_bytes((folder / "entries.jsonl").read_bytes())
    draft.rename(target)


if __name__ == "__main__":
    main()
