"""Entries: the submissions as one table, as files, and from one ledger into another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator
from sqlalchemy import Connection

from auditgame.ledger import players
from auditgame.ledger.players import Bracket
from auditgame.ledger.storage import CaseKey, as_text, now
from auditgame.ledger.submissions import (
    SCORER,
    attempts,
    checked,
    diagnosis_digest,
    known,
    newest_scores,
    record,
    score_of,
)
from auditgame.ledger.tables import STORED_QUERIES
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Conflict
from auditgame.schema.records import Record, explain
from auditgame.schema.results import Score

if TYPE_CHECKING:
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@")
COLUMNS = {
    "submission": "int64",
    "player": "object",
    "bracket": "object",
    "challenge": "object",
    "attempt": "int64",
    "points": "float64",
    "possible": "float64",
    "scorer": "object",
    "p_flawed": "float64",
    "family": "object",
    "queries": "int64",
    "evidence": "int64",
    "started_at": "object",
    "at": "object",
}


class Entry(Record):
    """A submission as one ledger exports it and another imports it."""

    player: str
    bracket: Bracket
    challenge: Annotated[str, Field(min_length=1)]
    diagnosis: Diagnosis
    score: Score
    scorer: str = SCORER
    queries: Annotated[int, Field(ge=0)] = 0
    evidence: Annotated[int, Field(ge=0)] = 0
    started_at: str | None = None
    at: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_former_export(cls, data: Any) -> Any:
        if not isinstance(data, dict) or STORED_QUERIES not in data or "queries" in data:
            return data
        return {"queries" if name == STORED_QUERIES else name: data[name] for name in data}


def frame(connection: Connection) -> pd.DataFrame:
    """Every submission with its newest score, one row each; columns as in COLUMNS."""
    import pandas as pd

    rows = connection.execute(newest_scores()).mappings().all()
    table = pd.DataFrame([_flat(row) for row in rows], columns=list(COLUMNS))
    return table.astype(COLUMNS)


def _flat(row: Any) -> dict[str, Any]:
    diagnosis = json.loads(row["diagnosis"])
    parts = {name: diagnosis[name] for name in ("p_flawed", "family")}
    own = {"submission": row["id"], **parts}
    return own | {name: row[name] for name in COLUMNS if name not in own}


def export(connection: Connection, folder: Path) -> list[Path]:
    """Write entries.csv and entries.jsonl into this folder; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    table, lines = folder / "entries.csv", folder / "entries.jsonl"
    frame(connection).map(_escaped).to_csv(table, index=False, lineterminator="\n")
    with lines.open("w", encoding="utf-8") as out:
        for row in connection.execute(newest_scores()):
            out.write(as_text(_entry(row).model_dump(), "entry") + "\n")
    return [table, lines]


def _escaped(cell: Any) -> Any:
    # A spreadsheet evaluates a cell that begins like a formula, and players choose their names.
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def _entry(row: Any) -> Entry:
    return Entry(
        player=row.player,
        bracket=row.bracket,
        challenge=row.challenge,
        diagnosis=Diagnosis.model_validate_json(row.diagnosis),
        score=score_of(row),
        scorer=row.scorer,
        queries=row.queries,
        evidence=row.evidence,
        started_at=row.started_at,
        at=row.at,
    )


def import_all(connection: Connection, entries: Iterable[dict[str, Any]]) -> int:
    """Add every entry that the ledger lacks, in the order given; the number of new ones."""
    return sum(_import(connection, data, number) for number, data in enumerate(entries, 1))


def _import(connection: Connection, data: dict[str, Any], number: int) -> bool:
    try:
        entry = Entry.model_validate(data)
    except ValidationError as error:
        raise explain(error, f"entry {number}") from None
    diagnosis, score = checked(entry.diagnosis, entry.score)
    at = entry.at or now()
    player = players.get_or_create(connection, entry.player, entry.bracket, at)
    if player.bracket != entry.bracket:
        raise Conflict(
            f"entry {number}: '{player.name}' plays as {player.bracket} here, as {entry.bracket} "
            "in the entry; rename one of the two"
        )
    case = CaseKey(player.id, entry.challenge)
    if known(connection, case, diagnosis_digest(diagnosis)) is not None:
        return False
    used, allowed = attempts(connection, case)
    counts: dict[str, Any] = {STORED_QUERIES: entry.queries, "evidence": entry.evidence}
    counts |= {"started_at": entry.started_at, "at": at}
    allowed = max(allowed, used + 1)
    record(connection, case, diagnosis, score, allowed, entry.scorer, **counts)
    return True
