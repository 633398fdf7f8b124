"""Leaderboard: who finds flaws, and how surely one can say so."""

from __future__ import annotations

from typing import Any

import streamlit as st

from auditgame.ui.safe_text import plain
from auditgame.ui.session import game, player

BRACKETS = {
    "human": "People",
    "human+ai": "People with AI",
    "agent": "Agents",
    "algorithm": "Algorithms",
}
POINTS = ["player", "bracket", "rank", "share", "low", "high", "points", "played", "queries"]


def page() -> None:
    """Draw the standings, of every bracket or of one."""
    st.title("Leaderboard")
    st.markdown("Points over points possible; what is not played counts as zero.")
    shown = st.pills(
        "Bracket",
        list(BRACKETS),
        key="bracket",
        bind="query-params",
        format_func=BRACKETS.__getitem__,
        label_visibility="collapsed",
    )
    table = game().standings()
    table = table[table["bracket"] == shown] if shown else table
    if table.empty:
        st.caption("Nobody has handed in anything yet.")
        return
    mine = table["player"] == player().name
    table = table.assign(
        interval=[
            f"{low:.0%} to {high:.0%}" for low, high in zip(table.low, table.high, strict=True)
        ],
        bracket=table["bracket"].map(BRACKETS),
        player=table["player"].where(~mine, table["player"] + " (you)"),
    )
    columns: dict[Any, Any] = {
        "rank": st.column_config.NumberColumn("Rank", width="small"),
        "player": "Player",
        "bracket": "Bracket",
        "share": st.column_config.ProgressColumn(
            "Share", format="percent", min_value=0, max_value=1
        ),
        "interval": "95 % interval",
        "points": st.column_config.NumberColumn("Points", format="%.1f"),
        "played": "Played",
        "queries": st.column_config.NumberColumn("Queries", format="localized"),
    }
    st.dataframe(
        table[list(columns)], column_config=columns, hide_index=True, alt="Standings, best first"
    )
    st.caption(plain("Intervals: bootstrap over challenges. Equal points share a rank."))
