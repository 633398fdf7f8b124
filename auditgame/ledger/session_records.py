"""What has a player done on a challenge so far? Journal, pins, drafts and kept exhibits.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, func, insert, select

from auditgame.exhibits import Exhibit
from auditgame.ledger.storage import CaseKey, as_text, now, put
from auditgame.ledger.tables import drafts, journal, pins, results
from auditgame.schema.errors import AuditgameError
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
    """One use of a tool: what was asked, what it cost, where its exhibits are kept."""

    id: int
    challenge: str
    tool: str
    options: dict[str, Any]
    exhibits_digest: str
    cost: int
    at: str


class Pin(Record):
    """A piece of evidence that a player kept; `ref` says which exhibit it is."""

    ref: Any
    title: str
    at: str


def draft(connection: Connection, place: CaseKey) -> dict[str, Any] | None:
    """What was filled in when last seen? None where nothing was saved."""
    found = connection.execute(select(drafts.c.data).where(place.within(drafts))).scalar()
    return None if found is None else json.loads(found)


def save_draft(connection: Connection, place: CaseKey, data: dict[str, Any]) -> None:
    """Keep an unfinished diagnosis in place of the one kept before."""
    row = {**place._asdict(), "data": as_text(data, "draft"), "updated_at": now()}
    put(connection, drafts, row, key=("player_id", "challenge"))


def result(connection: Connection, fingerprint: str) -> list[Exhibit] | None:
    """The exhibits kept under this digest, if any."""
    kept = select(results.c.exhibits).where(results.c.digest == fingerprint)
    found = connection.execute(kept).scalar()
    return None if found is None else _exhibits.validate_json(found)


def keep_result(connection: Connection, fingerprint: str, exhibits: list[Exhibit]) -> None:
    """Keep exhibits under their digest; what is there already stays."""
    text = as_text(_exhibits.dump_python(exhibits, mode="json"), "exhibits")
    put(connection, results, {"digest": fingerprint, "exhibits": text, "at": now()})


def record_use(
    connection: Connection,
    place: CaseKey,
    question: Question,
    fingerprint: str,
    cost: int,
    budget: int | None,
) -> int:
    """Write a use of a tool into the journal; the queries charged (0 for a repeated question)."""
    tool = question.tool
    if type(cost) is not int or cost < 0:
        raise AuditgameError(f"tool '{tool}': cost {cost!r} is not a whole number from 0 up")
    charge = 0 if asked(connection, place, question) else cost
    _afford(connection, place, charge, budget)
    row = {
        **place._asdict(),
        "tool": tool,
        "options": as_text(question.options, f"tool '{tool}'"),
        "options_digest": question.digest,
        "exhibits_digest": fingerprint,
        "cost": charge,
        "at": now(),
    }
    connection.execute(insert(journal).values(row))
    return charge


def asked(connection: Connection, place: CaseKey, question: Question) -> bool:
    """Was this question asked before?"""
    same = place.within(journal) & (journal.c.tool == question.tool)
    same &= journal.c.options_digest == question.digest
    return connection.execute(select(journal.c.id).where(same).limit(1)).first() is not None


def _afford(connection: Connection, place: CaseKey, charge: int, budget: int | None) -> None:
    if budget is None or not charge:
        return
    left = budget - spent(connection, place)
    if charge > left:
        raise AuditgameError(
            f"challenge '{place.challenge}': this costs {charge} probes and {max(left, 0)} of "
            f"{budget} are left; ask for less, or hand in what you have"
        )


def spent(connection: Connection, place: CaseKey) -> int:
    """How many probes went into this challenge?"""
    total = select(func.coalesce(func.sum(journal.c.cost), 0)).where(place.within(journal))
    return int(connection.execute(total).scalar_one())


def uses(connection: Connection, place: CaseKey) -> list[JournalRow]:
    """Which tools were used, in order?"""
    mine = select(journal).where(place.within(journal)).order_by(journal.c.id)
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
        for row in connection.execute(mine)
    ]


def pin(connection: Connection, place: CaseKey, ref: Any, title: str) -> None:
    """Keep an exhibit as evidence; pinned again, it gets the new title."""
    row = {**place._asdict(), "ref": as_text(ref, "pin"), "title": title, "at": now()}
    put(connection, pins, row, key=("player_id", "challenge", "ref"))


def unpin(connection: Connection, place: CaseKey, ref: Any) -> None:
    """Take a piece of evidence down; nothing happens where it was not pinned."""
    same = pins.c.ref == as_text(ref, "pin")
    connection.execute(delete(pins).where(place.within(pins), same))


def evidence(connection: Connection, place: CaseKey) -> list[Pin]:
    """What is pinned, oldest first?"""
    mine = select(pins).where(place.within(pins)).order_by(pins.c.id)
    return [
        Pin(ref=json.loads(row.ref), title=row.title, at=row.at) for row in connection.execute(mine)
    ]
