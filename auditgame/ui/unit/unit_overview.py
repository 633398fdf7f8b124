"""All units of a layer side by side, in an order of the player's choice; and a quiz about them."""

from __future__ import annotations

from functools import partial

import streamlit as st

from auditgame.datasets.images.pictures import png
from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.tools.vision import quiz
from auditgame.tools.vision.microscope import ORDERS, WRONG, Order, Ranked
from auditgame.ui.draft import key
from auditgame.ui.safe_text import figure, plain, tiles
from auditgame.ui.unit.unit_page import address, open_unit
from auditgame.ui.widgets.image_links import ImageLink, choose_image

WORDS: dict[Order, str] = {
    "number": "Number",
    "difference": "Difference between two sets",
    "selectivity": "Selectivity",
    "weight": "Weight to a class",
}
MEANT: dict[Order, str] = {
    "number": "",
    "difference": "How far apart a unit holds the two sets, in standard deviations of the second.",
    "selectivity": "How much more a unit says of its best class than of the others, 0 to 1.",
    "weight": "What the class gains where the unit says one more everywhere.",
}


def overview(session: AuditSession, site: str) -> None:
    """One picture for each unit; a click opens its page."""
    order = st.segmented_control(
        "Order",
        ORDERS,
        key="order",
        default="number",
        required=True,
        bind="query-params",
        format_func=WORDS.__getitem__,
    )
    chosen: Order = order or "number"
    least = st.toggle("What excites least", key=key(session, "least"))
    try:
        ranked = _ranked(session, site, chosen)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    st.caption(MEANT[chosen])
    sheet = session.microscope.sheets[site]
    images, scores = (sheet.least, sheet.plate.least) if least else (sheet.most, sheet.plate.most)
    choices = [
        ImageLink(
            name=f"{site}:{unit}",
            href=address(session, site, unit),
            pictures=(png(images[unit] / 255),),
            label=f"{site}:{unit}",
            note=f"{scores[unit]:.1f}" if value is None else f"{value:.2f}",
        )
        for unit, value in ranked
    ]
    choose_image(choices, key(session, "grid"), partial(open_unit, session))


def _ranked(session: AuditSession, site: str, order: Order) -> list[Ranked]:
    classes = list(session.card.classes)
    if order == "difference":
        left, right = st.columns(2)
        words = "A class, numbers of examples such as 0-9, 40"
        one = left.text_input(
            "First set", WRONG, key=key(session, "one"), help=f"{words}, or '{WRONG}'."
        )
        other = right.text_input(
            "Second set", key=key(session, "other"), placeholder="all others", help=words
        )
        return session.microscope.ranked(site, order, one=one, other=other)
    if order == "weight":
        label = st.selectbox("Class", classes, key=key(session, "weight to"))
        return session.microscope.ranked(site, order, label=label)
    return session.microscope.ranked(site, order)


def play_quiz(session: AuditSession, site: str) -> None:
    """A painted picture, three rows of examples: which belong to it?"""
    turn = key(session, "quiz", site)
    number = st.session_state.setdefault(turn, 0)
    scope = session.microscope
    try:
        question = quiz.ask(scope, site, number)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    picture, rows = st.columns([1, 3], gap="large")
    with picture:
        st.markdown("**Which examples belong to this picture?**")
        shown = png(scope.sheets[site].most[question.unit] / 255)
        st.html(tiles([figure(shown, alt="painted for one unit")], 1))
    said = st.session_state.get(f"{turn}/said")
    with rows:
        for place, unit in enumerate(question.choices):
            _offer(session, site, unit, place, said, question.right)
    if said is not None:
        with picture:
            _verdict(session, site, question, said, turn)


def _offer(
    session: AuditSession, site: str, unit: int, place: int, said: int | None, right: int
) -> None:
    turn = key(session, "quiz", site)
    letter = "ABC"[place]
    tone = (
        "plain"
        if said is None
        else "good"
        if place == right
        else "bad"
        if place == said
        else "plain"
    )
    examples = session.microscope.examples(site, unit, quiz.SHOWN).tiles
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        figures = [figure(t.png, tone=tone, alt=f"example of {letter}") for t in examples]
        st.html(tiles(figures, quiz.SHOWN), width="stretch")

        def say() -> None:
            st.session_state[f"{turn}/said"] = place

        st.button(
            f"These: {letter}", on_click=say, disabled=said is not None, key=f"{turn}/{place}"
        )


def _verdict(
    session: AuditSession, site: str, question: quiz.QuizQuestion, said: int, turn: str
) -> None:
    def onward() -> None:
        st.session_state[turn] += 1
        st.session_state.pop(f"{turn}/said")

    fine = said == question.right
    words = "Right." if fine else f"It was {'ABC'[question.right]}."
    st.markdown(f"**{words}** The picture was painted for {plain(site)}:{question.unit}.")
    with st.container(horizontal=True):
        st.button("Next question", type="primary", on_click=onward, key=f"{turn}/next")
        page = partial(open_unit, session, f"{site}:{question.unit}")
        st.button("Open its page", on_click=page, key=f"{turn}/page")
