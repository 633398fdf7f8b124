"""Parsing of a selection such as `0-3, 7`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditgame.registry import suggest
from auditgame.schema.errors import Invalid

_RANGE = re.compile(r"^(\d{1,7})(?:\s*-\s*(\d{1,7}))?$")


def choose(text: str, count: int, field: str, names: Sequence[str] = ()) -> list[int]:
    """The indices below `count` that a text such as `0-3, 7` selects, in its order, each once.

    An empty text selects all; a range that runs past the last stops there, so that 0-15
    fits every list. Where `names` are given, they may be written instead of indices.
    Raises AuditgameError, naming `field`, for anything else.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return list(range(count))
    return list(dict.fromkeys(i for part in parts for i in _span(part, count, field, names)))


def _span(part: str, count: int, field: str, names: Sequence[str]) -> range:
    if part in names:
        return range(names.index(part), names.index(part) + 1)
    match = _RANGE.match(part)
    if not match and names:
        raise Invalid(f"{field}: {suggest('name', part, names)}")
    if not match:
        raise Invalid(f"{field}: '{part}'; write numbers and ranges, for example 0-3, 7")
    first, last = int(match[1]), int(match[2] or match[1])
    if not (first < count and first <= last):
        raise Invalid(f"{field}: '{part}' is outside 0 to {count - 1}")
    return range(first, min(last + 1, count))
