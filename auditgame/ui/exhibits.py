"""How does each kind of exhibit look? One function per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from auditgame.exhibits import Curve, Exhibit, Gallery, Grid, HeatMap, Note, Table, Tokens
from auditgame.ui.drawing import heat
from auditgame.ui.words import figure, plain, safe, tiles

WARM, COLD = "200,85,45", "38,105,178"
SENTENCE = 60
"""A cell with more letters than this is wrapped."""


def draw(exhibit: Exhibit, key: str, beside: Callable[[], None] | None = None) -> None:
    """Draw an exhibit of any kind under its title; `beside` draws what stands next to the title.

    key: tells this exhibit's controls from those of others.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(exhibit.title)}**", width="stretch")
        asked = exhibit.kind in NUMBERED and st.toggle("Numbers", key=f"{key}-numbers")
        if beside:
            beside()
    draw: Callable[[Any], None] = numbers if asked else DRAWN[exhibit.kind]
    draw(exhibit)
    note = getattr(exhibit, "note", "")
    if note:
        st.caption(plain(note))


def numbers(exhibit: HeatMap | Tokens | Grid) -> None:
    """The plain numbers behind a picture, for those who cannot or would not read colours."""
    if isinstance(exhibit, Tokens):
        frame = pd.DataFrame({"word": exhibit.tokens, "weight": exhibit.weights})
    elif isinstance(exhibit, Grid):
        index, columns = _distinct(exhibit.rows), _distinct(exhibit.columns)
        frame = pd.DataFrame(exhibit.values, index=index, columns=columns)
    else:
        frame = pd.DataFrame(exhibit.values)
    st.dataframe(frame, hide_index=isinstance(exhibit, Tokens), alt=exhibit.title)


def gallery(exhibit: Gallery) -> None:
    """Pictures side by side; red and green frames for wrong and right."""
    shown = [figure(t.png, t.label, t.note, t.tone) for t in exhibit.tiles]
    least = 92 if exhibit.group == 1 else 84
    st.html(tiles(shown, exhibit.columns, least, exhibit.group))


def heatmap(exhibit: HeatMap) -> None:
    """The picture, and the picture with signed heat over it, on the exhibit's own scale."""
    shown = heat(exhibit.png, exhibit.values, exhibit.limit)
    pair = [figure(exhibit.png, "picture"), figure(shown, "map", alt=exhibit.title)]
    st.html(tiles(pair, 4, least=150) + _scale(exhibit.limit))


def tokens(exhibit: Tokens) -> None:
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


def grid(exhibit: Grid) -> None:
    """A matrix of shaded cells with the number under the pointer."""
    st.altair_chart(_rectangles(exhibit), alt=exhibit.title)


def table(exhibit: Table) -> None:
    """Rows under named columns; sentences are wrapped, numbers can be sorted."""
    rows = pd.DataFrame(list(exhibit.rows), columns=list(exhibit.columns))
    if any(isinstance(cell, str) and len(cell) > SENTENCE for row in exhibit.rows for cell in row):
        cells = rows.map(lambda cell: plain(cell) if isinstance(cell, str) else cell)
        st.table(cells.set_index(exhibit.columns[0]))
    else:
        st.dataframe(rows, hide_index=True, alt=exhibit.title)


def curve(exhibit: Curve) -> None:
    """Lines through points, one colour for each series."""
    points = [
        {"x": x, "y": y, "series": name} for name, line in exhibit.series.items() for x, y in line
    ]
    chart = (
        alt.Chart(pd.DataFrame(points, columns=["x", "y", "series"]), height=280)
        .mark_line(point=True)
        .encode(
            x=alt.X("x:Q", title=exhibit.x_axis or None),
            y=alt.Y("y:Q", title=exhibit.y_axis or None),
            color=alt.Color("series:N", title=None, sort=list(exhibit.series)),
            tooltip=["series:N", "x:Q", "y:Q"],
        )
    )
    st.altair_chart(chart, alt=exhibit.title)


def note(exhibit: Note) -> None:
    """A finding in words."""
    st.markdown(plain(exhibit.text).replace("\n", "  \n"))


NUMBERED = ("heatmap", "tokens", "grid")
DRAWN: dict[str, Callable[[Any], None]] = {
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


def _rectangles(exhibit: Grid) -> Any:
    rows, columns = _distinct(exhibit.rows), _distinct(exhibit.columns)
    words = exhibit.words or [[""] * len(columns)] * len(rows)
    cells: list[dict[str, Any]] = [
        {"row": row, "column": column, "value": value, "word": word}
        for row, values, said in zip(rows, exhibit.values, words, strict=True)
        for column, value, word in zip(columns, values, said, strict=True)
    ]
    signed = any(cell["value"] < 0 for cell in cells)
    scale = alt.Scale(range="diverging", domainMid=0) if signed else alt.Scale(range="heatmap")
    base = alt.Chart(pd.DataFrame(cells), height=max(120, 26 * len(rows) + 60)).encode(
        x=alt.X("column:N", sort=columns, title=exhibit.column_axis or None),
        y=alt.Y("row:N", sort=rows, title=exhibit.row_axis or None),
        tooltip=["row:N", "column:N", alt.Tooltip("value:Q", format=".4g"), "word:N"],
    )
    chart = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, title=None))
    if exhibit.words and len(columns) <= 16:
        strong = f"abs(datum.value) > {0.6 * max(abs(cell['value']) for cell in cells)}"
        ink = alt.condition(strong, alt.value("#FCFBF8"), alt.value("#22292B"))
        return alt.layer(chart, base.mark_text(fontSize=11).encode(text="word:N", color=ink))
    return alt.layer(chart)
