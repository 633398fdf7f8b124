"""Players: names, brackets and guests. Works in the caller's transaction."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal, get_args

from sqlalchemy import Connection, insert, select, update

from auditgame.ledger.tables import players, submissions
from auditgame.schema.errors import Conflict, Invalid, NotFound
from auditgame.schema.records import Record, digest

Bracket = Literal["human", "human+ai", "agent", "algorithm"]


class Player(Record):
    """A person or a program that plays. `id` stays when the name changes."""

    id: int
    name: str
    bracket: Bracket
    created_at: str


def clean_name(name: str) -> str:
    """The name as it is shown: trimmed, 1 to 40 printable characters; else AuditgameError."""
    trimmed = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(trimmed) <= 40 or not trimmed.isprintable():
        raise Invalid(
            f"name {trimmed[:50]!r}: write 1 to 40 printable characters, no control characters"
        )
    return trimmed


def name_key(name: str) -> str:
    """The part of a name that must be unique: no case, no width, no doubled spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _known_bracket(bracket: str) -> None:
    if bracket not in get_args(Bracket):
        raise Invalid(f"bracket {bracket!r}: unknown; choose one of {', '.join(get_args(Bracket))}")


def _find(connection: Connection, column: str, value: int | str) -> Player | None:
    row = connection.execute(select(players).where(players.c[column] == value)).first()
    if row is None:
        return None
    return Player(id=row.id, name=row.name, bracket=row.bracket, created_at=row.created_at)


def _taken(connection: Connection, name: str) -> bool:
    return _find(connection, "name_key", name_key(name)) is not None


def identify(connection: Connection, player: Player | str) -> Player:
    """The player in the ledger, given as `Player` or by name; else AuditgameError."""
    if isinstance(player, str):
        name, found = player, _find(connection, "name_key", name_key(player))
    else:
        name, found = player.name, _find(connection, "id", player.id)
    if found is None:
        raise NotFound(f"player '{name}': not in the ledger; create it first")
    return found


def get_or_create(connection: Connection, name: str, bracket: Bracket, at: str) -> Player:
    """The player of this name; a new name is registered, in this bracket."""
    name = clean_name(name)
    _known_bracket(bracket)
    found = _find(connection, "name_key", name_key(name))
    return found or _create(connection, {"name": name, "bracket": bracket, "created_at": at})


def guest(connection: Connection, token: str, at: str) -> Player:
    """The player that this secret token identifies; only its digest is stored."""
    if not token:
        raise Invalid("guest: the token is empty; make a random one")
    fingerprint = digest(token.encode())
    found = _find(connection, "token_digest", fingerprint)
    if found is not None:
        return found
    # A second digest, so that the public name reveals nothing of the one that is looked up.
    letters = digest(fingerprint.encode())
    names = (f"guest-{letters[:size]}" for size in range(4, 35))
    name = next(name for name in names if not _taken(connection, name))
    row = {"name": name, "bracket": "human", "created_at": at, "token_digest": fingerprint}
    return _create(connection, row)


def _create(connection: Connection, row: dict[str, Any]) -> Player:
    row = {**row, "name_key": name_key(row["name"])}
    id = connection.execute(insert(players).values(row).returning(players.c.id)).scalar_one()
    return Player(id=id, name=row["name"], bracket=row["bracket"], created_at=row["created_at"])


def rename(connection: Connection, player: Player | str, name: str) -> Player:
    """Give a player another name, which no other player may have."""
    name = clean_name(name)
    own = identify(connection, player)
    holder = _find(connection, "name_key", name_key(name))
    if holder is not None and holder.id != own.id:
        raise Conflict(f"name '{name}': taken; choose another")
    change = update(players).where(players.c.id == own.id)
    connection.execute(change.values(name=name, name_key=name_key(name)))
    return own.model_copy(update={"name": name})


def declare(connection: Connection, player: Player | str, bracket: Bracket) -> Player:
    """Set the bracket of a player; possible until the first submission."""
    _known_bracket(bracket)
    own = identify(connection, player)
    first = select(submissions.c.id).where(submissions.c.player_id == own.id).limit(1)
    if connection.execute(first).first() is not None:
        raise Conflict(
            f"bracket of '{own.name}': fixed since the first submission; play under another name"
        )
    connection.execute(update(players).where(players.c.id == own.id).values(bracket=bracket))
    return own.model_copy(update={"bracket": bracket})
