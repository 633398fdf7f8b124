"""What a tool shows: pictures, maps, texts, tables, curves and notes, as plain data.

An exhibit has a name, by which programs find it, and a title, which people read: a title may be
reworded at any time. The same holds for the columns of a table and the series of a curve.
Torch-free.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer

from auditgame.schema.records import Record


def _absent(value: object) -> bool:
    """Left out of dumps, so that the digest of an exhibit stored by an older version stays."""
    return not value


class Titled(Record):
    """What every exhibit has: a name for programs and a title for people.

    name: an identifier, `[a-z][a-z0-9_]*`, stable across versions; exhibits of the same sort
    within one result share it. Empty only in what an older version stored.
    """

    name: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$", exclude_if=_absent)] = ""
    title: str


class Tile(Record):
    """One small picture of a gallery."""

    png: bytes
    label: str = ""
    note: str = ""
    tone: Literal["plain", "good", "bad"] = "plain"


class Gallery(Titled):
    """Pictures side by side, `columns` in a row.

    group: so many consecutive pictures belong together, as before and after do.
    """

    kind: Literal["gallery"] = "gallery"
    tiles: tuple[Tile, ...]
    columns: int = 8
    group: int = 1
    note: str = ""


class HeatMap(Titled):
    """Signed values over a picture; maps that are compared share one `limit` (colour scale)."""

    kind: Literal["heatmap"] = "heatmap"
    png: bytes
    values: tuple[tuple[float, ...], ...]
    limit: float
    note: str = ""


class FollowUp(Record):
    """The tool that a cell or a word leads to, with the options that its position fills in.

    options: the same for all positions. rows, columns: what each row and each column (or word)
    adds to them, in order; empty where it adds nothing. Text that both give to one option is
    joined: `block1.heads:` and `2` name a head.
    """

    tool: str
    options: dict[str, Any] = {}
    rows: tuple[dict[str, Any], ...] = ()
    columns: tuple[dict[str, Any], ...] = ()

    def at(self, column: int, row: int = 0) -> dict[str, Any]:
        """The options of one position."""
        down = self.rows[row] if self.rows else {}
        across = self.columns[column] if self.columns else {}
        both = {n: down[n] + across[n] for n in down.keys() & across if isinstance(down[n], str)}
        return {**self.options, **down, **across, **both}


class Tokens(Titled):
    """Words of a text with a signed weight each; `follow`: where a word leads."""

    kind: Literal["tokens"] = "tokens"
    tokens: tuple[str, ...]
    weights: tuple[float, ...]
    limit: float
    note: str = ""
    follow: Annotated[FollowUp | None, Field(exclude_if=_absent)] = None


class Grid(Titled):
    """A matrix of numbers with a label for each row and column, and a word for each cell.

    follow: where a cell leads.
    """

    kind: Literal["grid"] = "grid"
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    words: tuple[tuple[str, ...], ...] | None = None
    row_axis: str = ""
    column_axis: str = ""
    note: str = ""
    follow: Annotated[FollowUp | None, Field(exclude_if=_absent)] = None


class Column(NamedTuple):
    """A column of a table: the name by which programs read it, and the title people see."""

    name: str
    title: str


def columns(*given: str | tuple[str, str]) -> tuple[Column, ...]:
    """Columns, each from its name or from a name and a title.

    Without a title, the name with spaces for underscores is the title.
    """
    return tuple(
        Column(each, each.replace("_", " ")) if isinstance(each, str) else Column(*each)
        for each in given
    )


def _column(value: Any) -> Any:
    return (value, value) if isinstance(value, str) else value


def _dumped(column: Column) -> str | tuple[str, str]:
    return column.name if column.name == column.title else (column.name, column.title)


StoredColumn = Annotated[Column, BeforeValidator(_column), PlainSerializer(_dumped)]
"""A column whose title is its name is stored as one string, as older versions stored them all."""


class Table(Titled):
    """Rows under columns."""

    kind: Literal["table"] = "table"
    columns: tuple[StoredColumn, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    note: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """The title of each column."""
        return tuple(column.title for column in self.columns)


class Curve(Titled):
    """Series of (x, y) points by name; `titles`: what people see, where it is not the name."""

    kind: Literal["curve"] = "curve"
    series: dict[str, tuple[tuple[float, float], ...]]
    titles: Annotated[dict[str, str], Field(exclude_if=_absent)] = {}
    x_axis: str = ""
    y_axis: str = ""
    note: str = ""

    def heading(self, series: str) -> str:
        """The title of one series."""
        return self.titles.get(series, series)


class Note(Titled):
    """A finding in words."""

    kind: Literal["note"] = "note"
    text: str


Exhibit = Annotated[
    Gallery | HeatMap | Tokens | Grid | Table | Curve | Note, Field(discriminator="kind")
]
