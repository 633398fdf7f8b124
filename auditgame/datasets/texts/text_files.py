"""Reading labelled texts from a CSV or TSV file whose first row names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from auditgame.schema.errors import Forbidden, Invalid, NotFound

MAX_BYTES = 32 * 2**20
"""Largest file that is read."""
SEPARATORS = ",;\t"


class Labelled(NamedTuple):
    """A text and its label as the file has them; line: where the row begins, from 1."""

    line: int
    text: str
    label: str


def read_table(path: Path, text: str, label: str) -> list[Labelled]:
    """Every row's text and label in a file: see `parse_table`."""
    where = f"texts '{path}'"
    return parse_table(_content(path, where), text, label, where)


def parse_table(content: str, text: str, label: str, where: str) -> list[Labelled]:
    """Every row's text and label, from the columns of these names.

    The separator is whichever of comma, semicolon and tab occurs most often in the first row.
    Quotes group a cell as in RFC 4180; in tab-separated files they have no special meaning.
    Raises AuditgameError, naming file and line, for whatever cannot be read.
    """
    header = content.partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    rows = _rows(content, separator, where)
    _, names = next(rows, (1, []))
    columns = [_column(name, names, where) for name in (text, label)]
    found = []
    for line, cells in rows:
        if len(cells) != len(names):
            raise Invalid(
                f"{where}: line {line} has {len(cells)} cells where the first row names "
                f"{len(names)}; put quotes round a text that contains the separator"
            )
        found.append(Labelled(line, *(cells[column] for column in columns)))
    if not found:
        raise Invalid(f"{where}: has no rows below the names of its columns")
    return found


def _content(path: Path, where: str) -> str:
    if not path.is_file():
        raise NotFound(f"{where}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise Forbidden(f"{where}: is over {MAX_BYTES >> 20} MB; use a part of it")
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Invalid(f"{where}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Invalid(f"{where}: line {line} is not UTF-8; save it as UTF-8") from None


def _rows(content: str, separator: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line on which it begins."""
    lines = io.StringIO(content, newline="")
    if separator == "\t":
        rows = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        rows = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        begin = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error:
            raise Invalid(
                f"{where}: the row that begins on line {begin} cannot be read; "
                "close each quote, and double those inside"
            ) from None
        if cells is None:
            return
        if cells:
            yield begin, cells


def _column(name: str, names: list[str], where: str) -> int:
    stripped = [known.strip() for known in names]
    if stripped.count(name) != 1:
        fault = "two columns" if name in stripped else "no column"
        known = ", ".join(f"'{known[:40]}'" for known in stripped[:12]) or "none"
        raise Invalid(
            f"{where}: {fault} '{name}'; the first row names {known} "
            "(AUDITGAME_TEXT_COLUMNS says which to read)"
        )
    return stripped.index(name)
