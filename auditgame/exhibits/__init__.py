"""What tools show: pictures, maps, texts, tables, curves and words, as data. Torch-free."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from auditgame.schema.records import Record


class Tile(Record):
    """One small picture of a gallery."""

    png: bytes
    label: str = ""
    note: str = ""
    tone: Literal["plain", "good", "bad"] = "plain"


class Gallery(Record):
    """Pictures side by side; `columns` is how many stand in a row.

    So many that follow each other as `group` says belong together, as before and after do.
    """

    kind: Literal["gallery"] = "gallery"
    title: str
    tiles: tuple[Tile, ...]
    columns: int = 8
    group: int = 1
    note: str = ""


class HeatMap(Record):
    """Signed values over a picture; compared maps share one `limit` (colour scale)."""

    kind: Literal["heatmap"] = "heatmap"
    title: str
    png: bytes
    values: tuple[tuple[float, ...], ...]
    limit: float
    note: str = ""


def _absent(value: object) -> bool:
    """Left out of dumps, so that digests of older exhibits stay."""
    return value is None


class FollowUp(Record):
    """Where does a cell or a word lead? To another tool, with options that the place fills in.

    options: the same for all places. rows, columns: what each row and each column (or word)
    adds to them, in order; empty where it adds nothing. Text that both give to one option is
    joined: `block1.heads:` and `2` name a head.
    """

    tool: str
    options: dict[str, Any] = {}
    rows: tuple[dict[str, Any], ...] = ()
    columns: tuple[dict[str, Any], ...] = ()

    def at(self, column: int, row: int = 0) -> dict[str, Any]:
        """The options of one place."""
        down = self.rows[row] if self.rows else {}
        across = self.columns[column] if self.columns else {}
        both = {n: down[n] + across[n] for n in down.keys() & across if isinstance(down[n], str)}
        return {**self.options, **down, **across, **both}


class Tokens(Record):
    """Words of a text with a signed weight each; `follow`: where a word leads."""

    kind: Literal["tokens"] = "tokens"
    title: str
    tokens: tuple[str, ...]
    weights: tuple[float, ...]
    limit: float
    note: str = ""
    follow: Annotated[FollowUp | None, Field(exclude_if=_absent)] = None


class Grid(Record):
    """A matrix of numbers with a name for each row and column, and a word for each cell.

    follow: where a cell leads.
    """

    kind: Literal["grid"] = "grid"
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    words: tuple[tuple[str, ...], ...] | None = None
    row_axis: str = ""
    column_axis: str = ""
    note: str = ""
    follow: Annotated[FollowUp | None, Field(exclude_if=_absent)] = None


class Table(Record):
    """Rows under named columns."""

    kind: Literal["table"] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    note: str = ""


class Curve(Record):
    """Named series of (x, y) points."""

    kind: Literal["curve"] = "curve"
    title: str
    series: dict[str, tuple[tuple[float, float], ...]]
    x_axis: str = ""
    y_axis: str = ""
    note: str = ""


class Note(Record):
    """A finding said in words."""

    kind: Literal["note"] = "note"
    title: str
    text: str


Exhibit = Annotated[
    Gallery | HeatMap | Tokens | Grid | Table | Curve | Note, Field(discriminator="kind")
]
