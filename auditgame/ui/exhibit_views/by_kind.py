"""How each kind of exhibit is drawn: one function per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from auditgame.exhibits import (
    Curve,
    Exhibit,
    Gallery,
    Grid,
    HeatMap,
    Note,
    Table,
    Tokens,
)
from auditgame.exhibits.drawing import heat
from auditgame.ui.exhibit_views import grids
from auditgame.ui.exhibit_views.exhibit_context import ColourRange, ExhibitContext, OpenTool
from auditgame.ui.safe_text import figure, plain, safe, tiles
from auditgame.ui.widgets.word_buttons import WordButton, choose_word

WARM, COLD = "200,85,45", "38,105,178"
SENTENCE = 60
"""A table with a cell of more letters than this wraps its text."""


def draw(
    exhibit: Exhibit,
    key: str,
    actions: Callable[[], None] | None = None,
    open_tool: OpenTool | None = None,
    colour_range: ColourRange | None = None,
) -> None:
    """Draw an exhibit of any kind under its title.

    key: the prefix of its widgets' keys. actions: draws buttons beside the title. open_tool:
    opens the tool that a word or a cell leads to. colour_range: one scale for exhibits that are
    compared.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(exhibit.title)}**", width="stretch")
        as_numbers = exhibit.kind in NUMBERED and st.toggle("Numbers", key=f"{key}-numbers")
        if actions:
            actions()
    view: Callable[[Any, ExhibitContext], None] = numbers if as_numbers else DRAWN[exhibit.kind]
    view(exhibit, ExhibitContext(key, open_tool, colour_range))
    note = getattr(exhibit, "note", "")
    if note:
        st.caption(plain(note))


def numbers(exhibit: HeatMap | Tokens | Grid, context: ExhibitContext) -> None:
    """The numbers behind a picture, for those who cannot or do not want to read colours."""
    if isinstance(exhibit, Grid):
        grids.numbers(exhibit, context)
    elif isinstance(exhibit, Tokens):
        rows = pd.DataFrame({"word": exhibit.tokens, "weight": exhibit.weights})
        st.dataframe(rows, alt=exhibit.title)
    else:
        st.dataframe(pd.DataFrame(exhibit.values), alt=exhibit.title)


def gallery(exhibit: Gallery, context: ExhibitContext) -> None:
    """Pictures side by side; a red frame for wrong, a green one for right."""
    shown = [figure(t.png, t.label, t.note, t.tone) for t in exhibit.tiles]
    least = 92 if exhibit.group == 1 else 84
    st.html(tiles(shown, exhibit.columns, least, exhibit.group))


def heatmap(exhibit: HeatMap, context: ExhibitContext) -> None:
    """The picture, and beside it the picture under its signed values in colour."""
    limit = context.colour_range.high if context.colour_range else exhibit.limit
    shown = heat(exhibit.png, exhibit.values, limit)
    pair = [figure(exhibit.png, "picture"), figure(shown, "map", alt=exhibit.title)]
    st.html(tiles(pair, 4, least=150) + _scale(limit))


def tokens(exhibit: Tokens, context: ExhibitContext) -> None:
    """Words with shaded backgrounds, their weights as tooltips; a click opens a tool."""
    limit = (context.colour_range.high if context.colour_range else exhibit.limit) or 1.0
    pairs = list(zip(exhibit.tokens, exhibit.weights, strict=True))
    shades = [_shade(weight / limit) for _, weight in pairs]
    if exhibit.follow and context.open_tool:
        shown = [
            WordButton(word, f"{weight:+.3g}", shade)
            for (word, weight), shade in zip(pairs, shades, strict=True)
        ]

        def pick(position: int) -> None:
            context.follow(exhibit.follow, position)

        choose_word(shown, f"{context.key}-words", pick, exhibit.title)
        st.html(_scale(limit))
        st.caption("Click a word to examine it with another tool.")
        return
    words = [
        f'<span class="ag-word" style="background:{shade}" title="{weight:+.3g}">'
        f"{safe(word)}</span>"
        for (word, weight), shade in zip(pairs, shades, strict=True)
    ]
    st.html(f'<div class="ag-words">{" ".join(words)}</div>{_scale(limit)}')


def _shade(share: float) -> str:
    """The colour behind a word: warm above zero, cold below, full at 1."""
    return f"rgba({WARM if share >= 0 else COLD},{min(abs(share), 1.0) * 0.75:.2f})"


def table(exhibit: Table, context: ExhibitContext) -> None:
    """Rows under named columns; sentences are wrapped, numbers can be sorted."""
    rows = pd.DataFrame(list(exhibit.rows), columns=list(exhibit.headings))
    if any(isinstance(cell, str) and len(cell) > SENTENCE for row in exhibit.rows for cell in row):
        cells = rows.map(lambda cell: plain(cell) if isinstance(cell, str) else cell)
        st.table(cells.set_index(exhibit.headings[0]).rename_axis(None))
    else:
        st.dataframe(rows, hide_index=True, alt=exhibit.title)


def curve(exhibit: Curve, context: ExhibitContext) -> None:
    """Lines through points, one colour for each series."""
    points = [
        {"x": x, "y": y, "series": exhibit.heading(name)}
        for name, line in exhibit.series.items()
        for x, y in line
    ]
    scale = alt.Scale(domain=list(context.colour_range)) if context.colour_range else alt.Scale()
    whole = all(float(x).is_integer() for line in exhibit.series.values() for x, _ in line)
    across = alt.Axis(format="~g", tickMinStep=int(whole))  # No ticks at half layers or years.
    order = [exhibit.heading(name) for name in sorted(exhibit.series, key=_rank)]
    chart = (
        alt.Chart(pd.DataFrame(points, columns=["x", "y", "series"]), height=280)
        .mark_line(point=True)
        .encode(
            x=alt.X("x:Q", title=exhibit.x_axis or None, axis=across),
            y=alt.Y("y:Q", title=exhibit.y_axis or None, scale=scale),
            color=alt.Color("series:N", title=None, sort=order),
            tooltip=["series:N", "x:Q", "y:Q"],
        )
    )
    st.altair_chart(chart, alt=exhibit.title)


def _rank(series: str) -> tuple[bool, str]:
    """The model itself comes before its reference models, so that it keeps its colour."""
    return series.startswith("reference_"), series


def note(exhibit: Note, context: ExhibitContext) -> None:
    """A finding as text."""
    st.markdown(plain(exhibit.text).replace("\n", "  \n"))


NUMBERED = ("heatmap", "tokens", "grid")
DRAWN: dict[str, Callable[[Any, ExhibitContext], None]] = {
    "gallery": gallery,
    "heatmap": heatmap,
    "tokens": tokens,
    "grid": grids.draw_grid,
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
