"""Who plays? Names, brackets and guests, inside the caller's transaction."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal, get_args

from sqlalchemy import Connection, insert, select, update

from auditgame.ledger.tables import players, submissions
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record, digest

Bracket = Literal["human", "human+ai", "agent", "algorithm"]


class Player(Record):
    """Someone, or something, that plays. `id` stays when the name changes."""

    id: int
    name: str
    bracket: Bracket
    created_at: str


def clean_name(name: str) -> str:
    """The name as it will be shown: trimmed, 1 to 40 printable characters; or AuditgameError."""
    trimmed = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(trimmed) <= 40 or not trimmed.isprintable():
        raise AuditgameError(
            f"name {trimmed[:50]!r}: write 1 to 40 printable characters, no control characters"
        )
    return trimmed


def name_key(name: str) -> str:
    """What must be unique of a name: it without case, width or doubled spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _known_bracket(bracket: str) -> None:
    if bracket not in get_args(Bracket):
        raise AuditgameError(
            f"bracket {bracket!r}: unknown; choose one of {', '.join(get_args(Bracket))}"
        )


def _find(connection: Connection, column: str, value: int | str) -> Player | None:
    row = connection.execute(select(players).where(players.c[column] == value)).first()
    if row is None:
        return None
    return Player(id=row.id, name=row.name, bracket=row.bracket, created_at=row.created_at)


def _taken(connection: Connection, name: str) -> bool:
    return _find(connection, "name_key", name_key(name)) is not None


def identify(connection: Connection, player: Player | str) -> Player:
    """The player as the record has it, given as `Player` or by name; else AuditgameError."""
    if isinstance(player, str):
        name, found = player, _find(connection, "name_key", name_key(player))
    else:
        name, found = player.name, _find(connection, "id", player.id)
    if found is None:
        raise AuditgameError(f"player '{name}': not in the ledger; create it first")
    return found


def get_or_create(connection: Connection, name: str, bracket: Bracket, at: str) -> Player:
    """The player of this name, made on first sight; `bracket` counts only then."""
    name = clean_name(name)
    _known_bracket(bracket)
    found = _find(connection, "name_key", name_key(name))
    return found or _create(connection, {"name": name, "bracket": bracket, "created_at": at})


def guest(connection: Connection, token: str, at: str) -> Player:
    """The player who holds this secret token; only its digest is kept."""
    if not token:
        raise AuditgameError("guest: the token is empty; make a random one")
    fingerprint = digest(token.encode())
    found = _find(connection, "token_digest", fingerprint)
    if found is not None:
        return found
    # A second digest, so that a name in public shows nothing of the one that is looked up.
    letters = digest(fingerprint.encode())
    names = (f"guest-{letters[:size]}" for size in range(4, 35))
    name = next(name for name in names if not _taken(connection, name))
    row = {"name": name, "bracket": "human", "created_at": at, "token_digest": fingerprint}
    return _create(connection, row)


def _create(connection: Connection, row: dict[str, Any]) -> Player:
    row = {**row, "name_key": name_key(row["name"])}
    made = connection.execute(insert(players).values(row).returning(players.c.id)).scalar_one()
    return Player(id=made, name=row["name"], bracket=row["bracket"], created_at=row["created_at"])


def rename(connection: Connection, player: Player | str, name: str) -> Player:
    """Give a player another name, which nobody else may have."""
    name = clean_name(name)
    me = identify(connection, player)
    holder = _find(connection, "name_key", name_key(name))
    if holder is not None and holder.id != me.id:
        raise AuditgameError(f"name '{name}': taken; choose another")
    change = update(players).where(players.c.id == me.id)
    connection.execute(change.values(name=name, name_key=name_key(name)))
    return me.model_copy(update={"name": name})


def declare(connection: Connection, player: Player | str, bracket: Bracket) -> Player:
    """Say in which bracket a player plays; open until the first hand-in."""
    _known_bracket(bracket)
    me = identify(connection, player)
    mine = select(submissions.c.id).where(submissions.c.player_id == me.id).limit(1)
    if connection.execute(mine).first() is not None:
        raise AuditgameError(
            f"bracket of '{me.name}': fixed since the first hand-in; play under another name"
        )
    connection.execute(update(players).where(players.c.id == me.id).values(bracket=bracket))
    return me.model_copy(update={"bracket": bracket})
