"""Records of a session: the journal of tool runs, pins, drafts and stored exhibits.

Every function works in the caller's transaction.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, func, insert, select

from auditgame.exhibits import Exhibit
from auditgame.ledger.storage import CaseKey, as_text, now, put
from auditgame.ledger.tables import drafts, journal, pins, results
from auditgame.schema.errors import Forbidden, Invalid
from auditgame.schema.records import Record, digest

_exhibits: TypeAdapter[list[Exhibit]] = TypeAdapter(list[Exhibit])


class Question(NamedTuple):
    """What was asked of a challenge: a tool, its options, the digest of an upload if there is one.

    Whoever asks the same again pays nothing, even where the tool's code has changed since: a
    budget counts questions, and an upgrade by the host is none.
    """

    tool: str
    options: dict[str, Any]
    upload: str = ""

    @property
    def digest(self) -> str:
        """The digest of the options, and of the upload."""
        text = as_text(self.options, f"tool '{self.tool}'")
        return digest(f"{text}{self.upload}".encode())


class JournalRow(Record):
    """One run of a tool: its options, its cost in queries, the digest of its exhibits."""

    id: int
    challenge: str
    tool: str
    options: dict[str, Any]
    exhibits_digest: str
    cost: int
    at: str


class Pin(Record):
    """An exhibit that a player keeps as evidence; `ref` identifies it."""

    ref: Any
    title: str
    at: str


def draft(connection: Connection, case: CaseKey) -> dict[str, Any] | None:
    """The diagnosis as it was last saved; None where nothing was saved."""
    found = connection.execute(select(drafts.c.data).where(case.within(drafts))).scalar()
    return None if found is None else json.loads(found)


def save_draft(connection: Connection, case: CaseKey, data: dict[str, Any]) -> None:
    """Save an unfinished diagnosis; it replaces the one saved before."""
    row = {**case._asdict(), "data": as_text(data, "draft"), "updated_at": now()}
    put(connection, drafts, row, key=("player_id", "challenge"))


def result(connection: Connection, fingerprint: str) -> list[Exhibit] | None:
    """The exhibits stored under this digest, if any."""
    stored = select(results.c.exhibits).where(results.c.digest == fingerprint)
    found = connection.execute(stored).scalar()
    return None if found is None else _exhibits.validate_json(found)


def keep_result(connection: Connection, fingerprint: str, exhibits: list[Exhibit]) -> None:
    """Store exhibits under their digest; those stored before stay."""
    text = as_text(_exhibits.dump_python(exhibits, mode="json"), "exhibits")
    put(connection, results, {"digest": fingerprint, "exhibits": text, "at": now()})


def record_use(
    connection: Connection,
    case: CaseKey,
    question: Question,
    fingerprint: str,
    cost: int,
    budget: int | None,
) -> int:
    """Enter a run of a tool in the journal; the queries charged (0 for a repeated question)."""
    tool = question.tool
    if type(cost) is not int or cost < 0:
        raise Invalid(f"tool '{tool}': cost {cost!r} is not a whole number from 0 up")
    charge = 0 if asked(connection, case, question) else cost
    _require_budget(connection, case, charge, budget)
    row = {
        **case._asdict(),
        "tool": tool,
        "options": as_text(question.options, f"tool '{tool}'"),
        "options_digest": question.digest,
        "exhibits_digest": fingerprint,
        "cost": charge,
        "at": now(),
    }
    connection.execute(insert(journal).values(row))
    return charge


def asked(connection: Connection, case: CaseKey, question: Question) -> bool:
    """Was this question asked before?"""
    same = case.within(journal) & (journal.c.tool == question.tool)
    same &= journal.c.options_digest == question.digest
    return connection.execute(select(journal.c.id).where(same).limit(1)).first() is not None


def _require_budget(connection: Connection, case: CaseKey, charge: int, budget: int | None) -> None:
    if budget is None or not charge:
        return
    left = budget - spent(connection, case)
    if charge > left:
        raise Forbidden(
            f"challenge '{case.challenge}': this costs {charge} queries and {max(left, 0)} of "
            f"{budget} are left; ask for less, or submit your diagnosis"
        )


def spent(connection: Connection, case: CaseKey) -> int:
    """The queries spent on this challenge."""
    total = select(func.coalesce(func.sum(journal.c.cost), 0)).where(case.within(journal))
    return int(connection.execute(total).scalar_one())


def uses(connection: Connection, case: CaseKey) -> list[JournalRow]:
    """The tool runs, in order."""
    own = select(journal).where(case.within(journal)).order_by(journal.c.id)
    return [
        JournalRow(
            id=row.id,
            challenge=row.challenge,
            tool=row.tool,
            options=json.loads(row.options),
            exhibits_digest=row.exhibits_digest,
            cost=row.cost,
            at=row.at,
        )
        for row in connection.execute(own)
    ]


def pin(connection: Connection, case: CaseKey, ref: Any, title: str) -> None:
    """Keep an exhibit as evidence; pinned again, it gets the new title."""
    row = {**case._asdict(), "ref": as_text(ref, "pin"), "title": title, "at": now()}
    put(connection, pins, row, key=("player_id", "challenge", "ref"))


def unpin(connection: Connection, case: CaseKey, ref: Any) -> None:
    """Remove an exhibit from the evidence, if it is pinned."""
    same = pins.c.ref == as_text(ref, "pin")
    connection.execute(delete(pins).where(case.within(pins), same))


def evidence(connection: Connection, case: CaseKey) -> list[Pin]:
    """The pinned exhibits, oldest first."""
    own = select(pins).where(case.within(pins)).order_by(pins.c.id)
    return [
        Pin(ref=json.loads(row.ref), title=row.title, at=row.at) for row in connection.execute(own)
    ]
