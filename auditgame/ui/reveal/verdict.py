"""The parts of a reveal: score, truth, the flaw at work, the bots, the proof."""

from __future__ import annotations

import streamlit as st

from auditgame.exhibits.drawing import pattern_png
from auditgame.registry.descriptions import plugin_text
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Reveal
from auditgame.ui.claim.demonstration import demonstrate
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.navigation import go, link
from auditgame.ui.safe_text import figure, plain, safe, tidy
from auditgame.ui.session import game, session


def score(revealed: Reveal) -> None:
    """The points of the attempt that counts, part by part."""
    receipt = revealed.receipts[-1]
    total = receipt.score
    st.metric("Your score", f"{total.points:.0f} of {total.possible:.0f}")
    st.html("".join(_bar(c.name, c.points, c.possible, c.words) for c in total.components))
    first = revealed.receipts[0].score
    if len(revealed.receipts) > 1:
        st.caption(
            f"Attempt {receipt.attempt}. On the leaderboard counts the first: {first.points:.0f}."
        )


def _bar(name: str, points: float, possible: float, words: str) -> str:
    share = min(abs(points) / possible, 1.0) if possible else 0.0
    fill = (
        f'<span class="ag-fill{" minus" if points < 0 else ""}" style="width:{share:.0%}"></span>'
    )
    return (
        f'<div class="ag-bar"><b>{safe(tidy(name))}</b><span class="ag-track">{fill}</span>'
        f'<span class="ag-points">{points:.1f} of {possible:.0f}</span>'
        f"<small>{safe(words)}</small></div>"
    )


def truth(revealed: Reveal) -> None:
    """What was in the model, in plain words; what the player said stands beside it."""
    st.subheader("What was really in it")
    st.markdown(
        f"**{plain(plugin_text('flaw', revealed.family).title)}.** {plain(revealed.confession)}"
    )
    mine = revealed.receipts[-1].said
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**You said**")
        _said(mine)
    with right.container(border=True, height="stretch"):
        st.markdown("**The key says**")
        _said(revealed.truth)


def _said(said: Diagnosis) -> None:
    st.markdown(f"{said.p_flawed:.0%} flawed")
    st.markdown(plain(plugin_text("flaw", said.family).title) if said.family else "No family named")
    for name, value in (said.claim or {}).items():
        _field(name, value)
    if said.units:
        st.caption(plain(f"Units {', '.join(said.units)}"))


def _field(name: str, value: object) -> None:
    if name == "pattern" and isinstance(value, list | tuple):
        with st.container(width=110):
            st.html(figure(pattern_png(value), "Pattern"))
    elif isinstance(value, dict) and set(value) == set("xywh"):
        words = "{w} by {h} px, {x} from the left, {y} from the top".format(**value)
        st.markdown(f"{plain(tidy(name))}: {words}")
    elif isinstance(value, dict):
        pairs = ", ".join(f"{key} {item}" for key, item in value.items())
        st.markdown(f"{plain(tidy(name))}: {plain(pairs)}")
    else:
        st.markdown(f"{plain(tidy(name))}: **{plain(value)}**")


def live(card: Card, revealed: Reveal) -> None:
    """The true claim enacted on fresh inputs: the answers before and after."""
    if revealed.truth.claim is None:
        st.caption("An innocent model has nothing to show.")
        return
    st.subheader("The flaw at work, on fresh inputs")
    with st.spinner("Trying it on the model"):
        exhibits = demonstrate(session(card.id), revealed)
    for number, exhibit in enumerate(exhibits):
        draw(exhibit, f"live-{number}")


def onward(card: Card) -> None:
    """To the next case, the board, or the workbench again."""
    others = [other for other in game().cards() if other.id != card.id]
    fresh = next(
        (o for o in others if not game().ledger.receipts(session(card.id).player, o.id)), None
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if fresh and st.button("Next case", type="primary"):
            go("workbench", id=fresh.id)
        link("leaderboard", "Leaderboard")
        link("workbench", "Try again", id=card.id)
