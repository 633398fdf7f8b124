"""Reading exhibits as a program does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from auditgame.exhibits import Exhibit, Table
from auditgame.schema.errors import AuditgameError


def rows(exhibits: Iterable[Exhibit], title: str) -> list[dict[str, Any]]:
    """The rows of the table whose title starts so, each under its column names."""
    for exhibit in exhibits:
        if isinstance(exhibit, Table) and exhibit.title.startswith(title):
            return [dict(zip(exhibit.columns, row, strict=True)) for row in exhibit.rows]
    raise AuditgameError(f"exhibits: none is a table titled '{title}'")
