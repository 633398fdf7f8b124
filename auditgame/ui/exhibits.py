"""How does each kind of exhibit look? One function per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from auditgame.types import Curve, Exhibit, Gallery, Grid, HeatMap, Note, Table, Tokens
from auditgame.ui.drawing import heat
from auditgame.ui.words import figure, plain, safe, tiles

WARM, COLD = "200,85,45", "38,105,178"
TILE_PIXELS = {1: 300, 2: 240, 3: 200, 4: 150, 5: 130, 6: 112}


def draw(exhibit: Exhibit, key: str) -> None:
    """Draw an exhibit of any kind under its title; `key` tells its controls from others'."""
    st.markdown(f"**{plain(exhibit.title)}**")
    DRAWN[exhibit.kind](exhibit, key)
    if getattr(exhibit, "note", ""):
        st.caption(plain(exhibit.note))


def gallery(exhibit: Gallery, key: str) -> None:
    """Pictures side by side; red and green frames for wrong and right."""
    shown = [figure(t.png, t.label, t.note, t.tone) for t in exhibit.tiles]
    st.html(tiles(shown, TILE_PIXELS.get(exhibit.columns, 96)))


def heatmap(exhibit: HeatMap, key: str) -> None:
    """The picture, and the picture with signed heat over it, on the exhibit's own scale."""
    shown = heat(exhibit.png, exhibit.values, exhibit.limit)
    pair = [figure(exhibit.png, "picture"), figure(shown, "map", alt=exhibit.title)]
    st.html(tiles(pair, 170) + _scale(exhibit.limit))
    if st.toggle("Numbers", key=f"{key}-numbers"):
        st.dataframe(pd.DataFrame(exhibit.values), alt=exhibit.title)


def tokens(exhibit: Tokens, key: str) -> None:
    """Words as shaded chips; the weight of each appears under the pointer."""
    limit = exhibit.limit or 1.0
    chips = []
    for word, weight in zip(exhibit.tokens, exhibit.weights, strict=True):
        strength = min(abs(weight) / limit, 1.0) * 0.75
        colour = f"rgba({WARM if weight >= 0 else COLD},{strength:.2f})"
        chips.append(
            f'<span class="ag-word" style="background:{colour}" title="{weight:+.3g}">'
            f"{safe(word)}</span>"
        )
    st.html(f'<div class="ag-words">{" ".join(chips)}</div>{_scale(exhibit.limit)}')
    if st.toggle("Numbers", key=f"{key}-numbers"):
        rows = {"word": exhibit.tokens, "weight": exhibit.weights}
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt=exhibit.title)


def grid(exhibit: Grid, key: str) -> None:
    """A matrix of shaded cells with the number under the pointer, or the plain table."""
    if st.toggle("Numbers", key=f"{key}-numbers"):
        columns = _distinct(exhibit.columns)
        table = pd.DataFrame(exhibit.values, index=_distinct(exhibit.rows), columns=columns)
        st.dataframe(table, alt=exhibit.title)
        return
    st.altair_chart(_rectangles(exhibit), alt=exhibit.title)


def table(exhibit: Table, key: str) -> None:
    """Rows under named columns."""
    rows = pd.DataFrame(list(exhibit.rows), columns=list(exhibit.columns))
    st.dataframe(rows, hide_index=True, alt=exhibit.title)


def curve(exhibit: Curve, key: str) -> None:
    """Lines through points, one colour for each series."""
    points = [
        {"x": x, "y": y, "series": name} for name, line in exhibit.series.items() for x, y in line
    ]
    chart = (
        alt.Chart(pd.DataFrame(points, columns=["x", "y", "series"]))
        .mark_line(point=True)
        .encode(
            x=alt.X("x:Q", title=exhibit.x_axis or None),
            y=alt.Y("y:Q", title=exhibit.y_axis or None),
            color=alt.Color("series:N", title=None, sort=list(exhibit.series)),
            tooltip=["series:N", "x:Q", "y:Q"],
        )
        .properties(height=280)
    )
    st.altair_chart(chart, alt=exhibit.title)


def note(exhibit: Note, key: str) -> None:
    """A finding in words."""
    st.markdown(plain(exhibit.text).replace("\n", "  \n"))


DRAWN: dict[str, Callable[[Any, str], None]] = {
    "gallery": gallery,
    "heatmap": heatmap,
    "tokens": tokens,
    "grid": grid,
    "table": table,
    "curve": curve,
    "note": note,
}


def _scale(limit: float) -> str:
    ramp = f"linear-gradient(90deg,rgba({COLD},.8),rgba(128,128,128,.12),rgba({WARM},.8))"
    return (
        f'<div class="ag-scale" aria-hidden="true">{-limit:.3g}'
        f'<i style="background:{ramp}"></i>{limit:+.3g}</div>'
    )


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Names with a number added where one stands twice: a chart needs them apart."""
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names)]


def _rectangles(exhibit: Grid) -> alt.LayerChart:
    rows, columns = _distinct(exhibit.rows), _distinct(exhibit.columns)
    words = exhibit.words or [[""] * len(columns)] * len(rows)
    cells = [
        {"row": row, "column": column, "value": value, "word": word}
        for row, values, said in zip(rows, exhibit.values, words, strict=True)
        for column, value, word in zip(columns, values, said, strict=True)
    ]
    signed = any(cell["value"] < 0 for cell in cells)
    scale = alt.Scale(range="diverging", domainMid=0) if signed else alt.Scale(range="heatmap")
    base = alt.Chart(pd.DataFrame(cells)).encode(
        x=alt.X("column:N", sort=columns, title=exhibit.column_axis or None),
        y=alt.Y("row:N", sort=rows, title=exhibit.row_axis or None),
        tooltip=["row:N", "column:N", alt.Tooltip("value:Q", format=".4g"), "word:N"],
    )
    chart = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, title=None))
    chart = chart.properties(height=max(120, 26 * len(rows) + 60))
    if exhibit.words and len(columns) <= 16:
        return chart + base.mark_text(fontSize=11).encode(text="word:N")
    return alt.layer(chart)
