"""The main parts of a reveal: the score, the true diagnosis beside the player's, the effect."""

from __future__ import annotations

import streamlit as st

from auditgame.exhibits.drawing import pattern_png
from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Reveal
from auditgame.ui.claim.demonstration import demonstrate
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.navigation import go, link
from auditgame.ui.safe_text import figure, plain, safe, spaced
from auditgame.ui.session import game, session
from auditgame.ui.terms import explained


def score(revealed: Reveal) -> None:
    """The points of the latest attempt, component by component."""
    receipt = revealed.receipts[-1]
    total = receipt.score
    st.metric("Your score", f"{total.points:.0f} of {total.possible:.0f}")
    st.html("".join(_bar(c.name, c.points, c.possible, c.words) for c in total.components))
    first = revealed.receipts[0].score
    if len(revealed.receipts) > 1:
        st.caption(
            f"This is attempt {receipt.attempt}. Only the first attempt counts on the "
            f"leaderboard: {first.points:.0f} of {first.possible:.0f}."
        )


def _bar(name: str, points: float, possible: float, reason: str) -> str:
    share = min(abs(points) / possible, 1.0) if possible else 0.0
    fill = (
        f'<span class="ag-fill{" minus" if points < 0 else ""}" style="width:{share:.0%}"></span>'
    )
    return (
        f'<div class="ag-bar"><b>{safe(spaced(name))}</b><span class="ag-track">{fill}</span>'
        f'<span class="ag-points">{points:.1f} of {possible:.0f}</span>'
        f"<small>{explained(reason)}</small></div>"
    )


def truth(revealed: Reveal) -> None:
    """The true diagnosis in plain words, and beside it what the player submitted."""
    st.subheader("The answer")
    st.markdown(f"**{plain(title('flaw', revealed.family))}.** {plain(revealed.confession)}")
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**Your diagnosis**")
        _diagnosis(revealed.receipts[-1].diagnosis)
    with right.container(border=True, height="stretch"):
        st.markdown("**True diagnosis**")
        _diagnosis(revealed.truth)


def _diagnosis(diagnosis: Diagnosis) -> None:
    family = diagnosis.family
    st.markdown(f"Probability of a flaw: **{diagnosis.p_flawed:.0%}**")
    st.markdown(f"Family: **{plain(title('flaw', family)) if family else 'none'}**")
    for name, value in (diagnosis.claim or {}).items():
        _field(name, value)
    if diagnosis.units:
        st.markdown(plain(f"Units: {', '.join(diagnosis.units)}"))


def _field(name: str, value: object) -> None:
    """One field of a claim."""
    label = plain(spaced(name))
    if name == "pattern" and isinstance(value, list | tuple):
        with st.container(width=110):
            st.html(figure(pattern_png(value), "Pattern"))
    elif isinstance(value, dict) and set(value) == set("xywh"):
        box = "{w} by {h} px, {x} from the left, {y} from the top".format(**value)
        st.markdown(f"{label}: {box}")
    elif isinstance(value, dict):
        pairs = ", ".join(f"{key} {item}" for key, item in value.items())
        st.markdown(f"{label}: {plain(pairs)}")
    else:
        st.markdown(f"{label}: **{plain(value)}**")


def demonstration(card: Card, revealed: Reveal) -> None:
    """The true claim applied to new inputs: predictions before and after."""
    if revealed.truth.claim is None:
        st.caption("A clean model has no flaw to show.")
        return
    st.subheader("The flaw on new inputs")
    with st.spinner("Running the model"):
        exhibits = demonstrate(session(card.id), revealed)
    for number, exhibit in enumerate(exhibits):
        draw(exhibit, f"demonstration-{number}")


def next_steps(card: Card) -> None:
    """Links to a challenge that is still open, to the leaderboard, and back to the workbench."""
    me, ledger = session(card.id).player, game().ledger
    others = [other for other in game().cards() if other.id != card.id]
    unplayed = next((other for other in others if not ledger.receipts(me, other.id)), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if unplayed and st.button("Next challenge", type="primary"):
            go("workbench", id=unplayed.id)
        link("leaderboard", "Leaderboard")
        link("workbench", "Try again", id=card.id)
