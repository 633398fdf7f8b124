"""Finding exhibits and reading tables by name, as a program does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from auditgame.exhibits import Exhibit, Table, Titled
from auditgame.schema.errors import Invalid

Kind = TypeVar("Kind", bound=Titled)


def find_all(exhibits: Iterable[Exhibit], name: str) -> list[Exhibit]:
    """The exhibits of this name, in order."""
    return [exhibit for exhibit in exhibits if exhibit.name == name]


def find(exhibits: Iterable[Exhibit], name: str, kind: type[Kind]) -> Kind:
    """The first exhibit of this name and kind; AuditgameError where there is none."""
    known = list(exhibits)
    for exhibit in find_all(known, name):
        if isinstance(exhibit, kind):
            return exhibit
    names = ", ".join(sorted({f"{e.name} ({e.kind})" for e in known if e.name})) or "none"
    raise Invalid(f"exhibits: no {kind.__name__.lower()} is named '{name}'; named are: {names}")


def rows(exhibits: Iterable[Exhibit], name: str) -> list[dict[str, Any]]:
    """The rows of the table of this name, each a dict by column name.

    AuditgameError where there is no such table.
    """
    table = find(exhibits, name, Table)
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]
