"""Submissions: attempts, diagnosis, score and log, recorded in one transaction.

Every function works in the caller's transaction and keeps no state of its own. The log is a
hash chain: the hash of each row covers its content and the hash before it.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, Select, Table, func, insert, select, update

from auditgame.ledger.storage import CaseKey, as_text, now, put
from auditgame.ledger.tables import (
    STORED_QUERIES,
    journal,
    log,
    pins,
    players,
    quota,
    scores,
    submissions,
)
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Conflict, Invalid, NotFound, Unavailable
from auditgame.schema.records import digest, explain
from auditgame.schema.results import Receipt, Score

GENESIS = "0" * 64
SCORER = "2"

Checked = TypeVar("Checked", bound=BaseModel)


# --------------------------------------------------------------- the log


def link(previous: str, kind: str, ref: int, payload: str) -> str:
    """The hash of a log row: SHA-256 over the hash before it and its own content."""
    return digest([previous, kind, ref, payload])


def head(connection: Connection) -> str:
    """The newest hash of the chain; it depends on every row before it."""
    newest = select(log.c.hash).order_by(log.c.id.desc()).limit(1)
    return connection.execute(newest).scalar() or GENESIS


def _add(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    """Insert an append-only row and its entry in the log; the id of the row."""
    ref = connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one()
    previous = head(connection)
    payload = as_text(row, table.name)
    entry = {"kind": table.name, "ref": ref, "payload": payload, "previous": previous}
    entry["hash"] = link(previous, table.name, ref, payload)
    connection.execute(insert(log).values(entry))
    return ref


def verify(connection: Connection, published: str | None) -> str:
    """The newest hash, if every row is as it was written; else AuditgameError."""
    rows_of = {table.name: _contents(connection, table) for table in (submissions, scores)}
    previous, seen = GENESIS, published in (None, GENESIS)
    for row in connection.execute(select(log).order_by(log.c.id)):
        where = f"log row {row.id} ({row.kind} {row.ref})"
        if row.previous != previous or row.hash != link(previous, row.kind, row.ref, row.payload):
            raise Unavailable(f"{where}: the hash chain is broken; restore a backup")
        if rows_of.get(row.kind, {}).pop(row.ref, None) != row.payload:
            raise Unavailable(f"{where}: the row differs from the log; restore a backup")
        previous, seen = row.hash, seen or row.hash == published
    if not seen:
        raise Unavailable(f"log: the published hash {published} is missing; restore a backup")
    for name, rows in rows_of.items():
        if rows:
            raise Unavailable(f"{name} {min(rows)}: not in the log; restore a backup")
    return previous


def _contents(connection: Connection, table: Table) -> dict[int, str]:
    rows = connection.execute(select(table)).mappings()
    return {
        row["id"]: as_text({k: v for k, v in row.items() if k != "id"}, f"{table.name} {row['id']}")
        for row in rows
    }


# ------------------------------------------------------------ submissions


def checked(diagnosis: Diagnosis, score: Score) -> tuple[Diagnosis, Score]:
    """Both validated again by their own schema, with finite numbers; else AuditgameError."""
    parts = (score.points, score.possible, *(c.points for c in score.components))
    for number in (*parts, *(c.possible for c in score.components)):
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise Invalid(f"score: {number} is not a finite number; nothing was recorded")
    if score.possible <= 0:
        raise Invalid(f"score: possible is {score.possible}; it must be above 0")
    return _revalidate(diagnosis, "diagnosis"), _revalidate(score, "score")


def _revalidate(record: Checked, what: str) -> Checked:
    try:
        return type(record).model_validate(record.model_dump())
    except ValidationError as error:
        raise explain(error, what) from None


def diagnosis_digest(diagnosis: Diagnosis) -> str:
    """The digest by which the same diagnosis is recognised when it is submitted again."""
    return digest(as_text(diagnosis.model_dump(), "diagnosis").encode())


def known(connection: Connection, case: CaseKey, fingerprint: str) -> int | None:
    """The id of the submission of this diagnosis, if it was submitted before."""
    same = case.within(submissions) & (submissions.c.digest == fingerprint)
    return connection.execute(select(submissions.c.id).where(same)).scalar()


def record(
    connection: Connection,
    case: CaseKey,
    diagnosis: Diagnosis,
    score: Score,
    allowed: int,
    scorer: str,
    **given: Any,
) -> int:
    """Record a diagnosis and its score; the id of the submission.

    given: columns that replace what is counted here, for entries of another ledger.
    """
    fingerprint = diagnosis_digest(diagnosis)
    found = known(connection, case, fingerprint)
    if found is not None:
        return found
    row = {
        "player_id": case.player_id,
        "challenge": case.challenge,
        "attempt": _take_attempt(connection, case, allowed),
        "digest": fingerprint,
        "diagnosis": as_text(diagnosis.model_dump(), "diagnosis"),
        **_counts(connection, case),
        "at": now(),
        **given,
    }
    submission = _add(connection, submissions, row)
    add_score(connection, submission, score, scorer)
    return submission


def _take_attempt(connection: Connection, case: CaseKey, allowed: int) -> int:
    row = {**case._asdict(), "used": 0, "allowed": allowed}
    put(connection, quota, row)
    own = case.within(quota)
    connection.execute(update(quota).where(own).values(allowed=allowed))
    taken = connection.execute(
        update(quota)
        .where(own, quota.c.used < quota.c.allowed)
        .values(used=quota.c.used + 1)
        .returning(quota.c.used)
    ).scalar()
    if taken is None:
        raise Conflict(
            f"challenge '{case.challenge}': all {allowed} attempts are used; "
            "see the reveal or take another challenge"
        )
    return taken


def _counts(connection: Connection, case: CaseKey) -> dict[str, Any]:
    sums = select(func.coalesce(func.sum(journal.c.cost), 0), func.min(journal.c.at))
    queries, started = connection.execute(sums.where(case.within(journal))).one()
    pinned = select(func.count()).select_from(pins).where(case.within(pins))
    evidence = connection.execute(pinned).scalar_one()
    return {STORED_QUERIES: int(queries), "evidence": evidence, "started_at": started}


def add_score(connection: Connection, submission: int, score: Score, scorer: str) -> None:
    """Add the score that this version of the scorer gives; the newest score counts."""
    row = {
        "submission_id": submission,
        "scorer": scorer,
        "points": score.points + 0.0,  # SQLite stores no -0.0, and the log must match the row
        "possible": score.possible + 0.0,
        "components": as_text([c.model_dump() for c in score.components], "score"),
        "at": now(),
    }
    _add(connection, scores, row)


def rescore(connection: Connection, submission: int, score: Score, scorer: str) -> None:
    """Add a score by a version of the scorer that has not scored this submission yet."""
    if connection.execute(select(submissions.c.id).where(submissions.c.id == submission)).first():
        same = (scores.c.submission_id == submission) & (scores.c.scorer == scorer)
        if connection.execute(select(scores.c.id).where(same)).first() is None:
            return add_score(connection, submission, score, scorer)
        raise Conflict(
            f"submission {submission}: scorer '{scorer}' has scored it; name a new version"
        )
    raise NotFound(f"submission {submission}: not in the ledger; see entries()")


def newest_scores() -> Select[Any]:
    """Every submission with its player and its newest score; queries are named `queries`."""
    columns = [c.label("queries") if c.name == STORED_QUERIES else c for c in submissions.c]
    every = scores.alias("every")
    newest = select(func.max(every.c.id)).where(every.c.submission_id == submissions.c.id)
    return (
        select(
            *columns,
            players.c.name.label("player"),
            players.c.bracket,
            scores.c.scorer,
            scores.c.points,
            scores.c.possible,
            scores.c.components,
        )
        .join(players, players.c.id == submissions.c.player_id)
        .join(scores, scores.c.submission_id == submissions.c.id)
        .where(scores.c.id == newest.scalar_subquery())
        .order_by(submissions.c.id)
    )


def attempts(connection: Connection, case: CaseKey) -> tuple[int, int]:
    """The attempts used and those allowed; (0, 0) before the first submission."""
    found = connection.execute(
        select(quota.c.used, quota.c.allowed).where(case.within(quota))
    ).first()
    return (found.used, found.allowed) if found else (0, 0)


def receipts(connection: Connection, case: CaseKey, submission: int | None = None) -> list[Receipt]:
    """The receipts of this player's submissions (or of this one), in order of attempts."""
    wanted = newest_scores().where(case.within(submissions))
    if submission is not None:
        wanted = wanted.where(submissions.c.id == submission)
    used, allowed = attempts(connection, case)
    return [
        Receipt(
            id=row.id,
            player=row.player,
            challenge=row.challenge,
            attempt=row.attempt,
            attempts_left=max(allowed - used, 0),
            counts=row.attempt == 1,
            diagnosis=Diagnosis.model_validate_json(row.diagnosis),
            score=score_of(row),
        )
        for row in connection.execute(wanted)
    ]


def score_of(row: Any) -> Score:
    """The score that a row of `newest_scores` holds."""
    parts = json.loads(row.components)
    return Score(points=row.points, possible=row.possible, components=parts)
