"""A matrix of shaded cells: as a chart, as numbers, and as a way to open other tools."""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from auditgame.exhibits import Grid
from auditgame.ui.exhibit_views.exhibit_context import ColourRange, ExhibitContext
from auditgame.ui.safe_text import plain

WIDE = 12
"""A grid with more columns, and words in its cells, is transposed."""
LONGEST = 14
"""A longer word in a cell is shortened; its tooltip shows it whole."""
LEVEL, SHORT = 6, 8
"""Names of at most this many columns and letters are written horizontally; others vertically."""
ROW, NARROW_ROW, LETTER, MARGIN = 30, 20, 7, 84
"""Pixels of a row, of one among many, of a letter's width, and of all that surrounds the cells."""
TEXT_COLOURS = {"light": ("#22292B", "#FCFBF8"), "dark": ("#E7E4DC", "#14191B")}
"""Text colours on weak and on strong cells, by theme."""


class GridLayout(NamedTuple):
    """A grid as it is drawn; `transposed` where its columns run down the page."""

    grid: Grid
    transposed: bool

    @classmethod
    def of(cls, grid: Grid) -> GridLayout:
        """Transposed where words would not fit into the cells otherwise."""
        return cls(grid, bool(grid.words) and WIDE < len(grid.columns) > len(grid.rows))

    @property
    def axes(self) -> tuple[list[str], list[str]]:
        """The names across the page and down it, each once."""
        across, down = distinct(self.grid.columns), distinct(self.grid.rows)
        return (down, across) if self.transposed else (across, down)


def distinct(names: tuple[str, ...]) -> list[str]:
    """Names with a number added where one occurs twice: a chart needs them to differ."""
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names)]


def draw_grid(grid: Grid, context: ExhibitContext) -> None:
    """Shaded cells with their numbers as tooltips; a click opens the tool that a cell leads to."""
    view, name = GridLayout.of(grid), f"{context.key}-cells"
    chart = _chart(view, context.colour_range)
    if not (grid.follow and context.open_tool):
        st.altair_chart(chart, alt=grid.title)
    else:

        def picked() -> None:
            cell = _picked(name, grid)
            if cell:
                context.follow(grid.follow, cell[1], cell[0])

        st.altair_chart(chart, key=name, on_select=picked, selection_mode="cell", alt=grid.title)
        st.caption("Click a cell to examine it with another tool. With the keyboard, use Numbers.")
    if view.transposed:
        axes = (grid.column_axis or "columns", grid.row_axis or "rows")
        st.caption(plain(f"Transposed. Down the page: {axes[0]}. Across: {axes[1]}."))


def numbers(grid: Grid, context: ExhibitContext) -> None:
    """The numbers, and two drop-downs that do what a click on a cell does."""
    rows, columns = distinct(grid.rows), distinct(grid.columns)
    st.dataframe(pd.DataFrame(grid.values, index=rows, columns=columns), alt=grid.title)
    if not (grid.follow and context.open_tool):
        return

    def open_cell() -> None:
        row, column = (st.session_state[f"{context.key}-{axis}"] for axis in ("row", "column"))
        context.follow(grid.follow, columns.index(column), rows.index(row))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(plain(grid.row_axis or "row"), rows, key=f"{context.key}-row", width=190)
        st.selectbox(
            plain(grid.column_axis or "column"), columns, key=f"{context.key}-column", width=190
        )
        st.button("Go deeper", on_click=open_cell, key=f"{context.key}-go")


def _picked(name: str, grid: Grid) -> tuple[int, int] | None:
    """Row and column of the cell just clicked; None where what the browser sent does not fit."""
    try:
        [cell] = st.session_state[name]["selection"]["cell"]
        row, column = cell["r"], cell["c"]
    except (KeyError, TypeError, ValueError):
        return None
    whole = type(row) is int and type(column) is int
    inside = whole and 0 <= row < len(grid.rows) and 0 <= column < len(grid.columns)
    return (row, column) if inside else None


def _cells(view: GridLayout) -> pd.DataFrame:
    grid, rows, columns = view.grid, distinct(view.grid.rows), distinct(view.grid.columns)
    words = grid.words or [[""] * len(columns)] * len(rows)
    axes = ("down", "across") if not view.transposed else ("across", "down")
    return pd.DataFrame(
        [
            {axes[0]: row, axes[1]: column, "value": value, "word": word, "r": r, "c": c}
            for r, (row, values, texts) in enumerate(zip(rows, grid.values, words, strict=True))
            for c, (column, value, word) in enumerate(zip(columns, values, texts, strict=True))
        ]
    )


def _chart(view: GridLayout, scale: ColourRange | None) -> Any:
    cells, (across, down) = _cells(view), view.axes
    titles = (view.grid.column_axis or None, view.grid.row_axis or None)
    x, y = titles[::-1] if view.transposed else titles
    level = len(across) <= LEVEL and max(map(len, across)) <= SHORT
    base = alt.Chart(cells, height=_height(across, down, level)).encode(
        x=alt.X("across:N", sort=across, title=x, axis=_axis(level)),
        y=alt.Y("down:N", sort=down, title=y),
        tooltip=[
            alt.Tooltip("down:N", title=y or "row"),
            alt.Tooltip("across:N", title=x or "column"),
            alt.Tooltip("value:Q", format=".4g"),
            "word:N",
        ],
    )
    cell = alt.selection_point(name="cell", fields=["r", "c"], clear=False)
    colour = alt.Color("value:Q", scale=_scale(cells, scale), title=None)
    chart = base.mark_rect(cursor="pointer").encode(color=colour).add_params(cell)
    if view.grid.words and len(across) <= WIDE:
        return alt.layer(chart, base.mark_text(fontSize=11).encode(**_text(cells, scale)))
    return alt.layer(chart)


def _axis(level: bool) -> alt.Axis:
    return alt.Axis(labelAngle=0, labelOverlap=False) if level else alt.Axis(labelAngle=-90)


def _height(across: list[str], down: list[str], level: bool) -> int:
    """Pixels for readable rows, the names below them and the title of the axis."""
    row = ROW if len(down) <= WIDE else NARROW_ROW
    return row * len(down) + MARGIN + (0 if level else LETTER * max(map(len, across)))


def _scale(cells: pd.DataFrame, scale: ColourRange | None) -> alt.Scale:
    low, high = scale or ColourRange(float(cells["value"].min()), float(cells["value"].max()))
    far = max(abs(low), abs(high))
    if low < 0:
        return alt.Scale(range="diverging", domain=[-far, far], domainMid=0)
    return alt.Scale(range="heatmap", domain=[low, high])


def _text(cells: pd.DataFrame, scale: ColourRange | None) -> dict[str, Any]:
    """The word in each cell, in a colour that contrasts with it in either theme."""
    most = max(abs(v) for v in scale) if scale else float(cells["value"].abs().max())
    weak, strong = TEXT_COLOURS[st.context.theme.type or "light"]
    colour = alt.condition(f"abs(datum.value) > {0.6 * most}", alt.value(strong), alt.value(weak))
    cells["short"] = [w if len(w) <= LONGEST else w[: LONGEST - 1] + "…" for w in cells["word"]]
    return {"text": "short:N", "color": colour}
