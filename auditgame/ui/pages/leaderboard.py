"""Leaderboard: who finds flaws, with intervals that say how certain the ranks are."""

from __future__ import annotations

from typing import Any

import streamlit as st

from auditgame.ledger.standings import FEWEST, interval_text
from auditgame.ui.safe_text import plain
from auditgame.ui.session import game, player
from auditgame.ui.terms import definition, explained_paragraphs

BRACKETS = {
    "human": "People",
    "human+ai": "People with AI",
    "agent": "Agents",
    "algorithm": "Algorithms",
}
RULES = (
    "Points over points possible on the practice challenges. A challenge that was not played "
    "counts as zero. Only the first attempt at each challenge counts."
)


def page() -> None:
    """Draw the standings, of every bracket or of one."""
    st.title("Leaderboard")
    st.html(explained_paragraphs([RULES]))
    bracket = st.pills(
        "Bracket",
        list(BRACKETS),
        key="bracket",
        bind="query-params",
        format_func=BRACKETS.__getitem__,
        label_visibility="collapsed",
    )
    table = game().standings()
    table = table[table["bracket"] == bracket] if bracket else table
    if table.empty:
        st.caption("No submissions yet.")
        return
    mine = table["player"] == player().name
    table = table.assign(
        interval=[
            interval_text(low, high) for low, high in zip(table.low, table.high, strict=True)
        ],
        bracket=table["bracket"].map(BRACKETS),
        player=table["player"].where(~mine, table["player"] + " (you)"),
    )
    columns = _columns()
    st.dataframe(
        table[list(columns)], column_config=columns, hide_index=True, alt="Standings, best first"
    )
    st.caption(plain("Equal points share a rank. Ties are ordered by the number of queries."))


def _columns() -> dict[Any, Any]:
    """The columns of the table, by their names in the standings."""
    number, column = st.column_config.NumberColumn, st.column_config.Column
    return {
        "rank": number("Rank", width="small"),
        "player": "Player",
        "bracket": "Bracket",
        "share": st.column_config.ProgressColumn(
            "Share of points", format="percent", min_value=0, max_value=1
        ),
        "interval": column(
            "95 % interval",
            help="Confidence interval of the share on challenges like these. Given to those who "
            f"have played {FEWEST} or more.",
        ),
        "points": number("Points", format="%.1f"),
        "played": number("Played", help="Challenges with at least one submission."),
        "queries": number("Queries", format="localized", help=definition("Query")),
    }
