"""All units of a layer in an order that the player chooses, and a quiz about them."""

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

TITLES: dict[Order, str] = {
    "number": "Number",
    "difference": "Difference between two sets",
    "selectivity": "Selectivity",
    "weight": "Weight on a class",
}
MEANINGS: dict[Order, str] = {
    "number": "",
    "difference": "Difference of the mean activations on the two sets, in standard deviations of "
    "the second.",
    "selectivity": "How much more a unit responds to its best class than to the others, 0 to 1.",
    "weight": "How much the class logit rises when the unit's activation rises by 1 everywhere.",
}


def overview(session: AuditSession, site: str) -> None:
    """One image for each unit; a click opens its page."""
    order = st.segmented_control(
        "Order",
        ORDERS,
        key="order",
        default="number",
        required=True,
        bind="query-params",
        format_func=TITLES.__getitem__,
    )
    chosen: Order = order or "number"
    least = st.toggle("Images that excite a unit least", key=key(session, "least"))
    try:
        ranked = _ranked(session, site, chosen)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    st.caption(MEANINGS[chosen])
    sheet = session.microscope.unit_images[site]
    images, scores = (sheet.least, sheet.entry.least) if least else (sheet.most, sheet.entry.most)
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
        help = "A class, or numbers of examples such as 0-9, 40"
        one = left.text_input(
            "First set", WRONG, key=key(session, "one"), help=f"{help}, or '{WRONG}'."
        )
        other = right.text_input(
            "Second set", key=key(session, "other"), placeholder="all others", help=help
        )
        return session.microscope.ranked(site, order, one=one, other=other)
    if order == "weight":
        label = st.selectbox("Class", classes, key=key(session, "weight to"))
        return session.microscope.ranked(site, order, label=label)
    return session.microscope.ranked(site, order)


def play_quiz(session: AuditSession, site: str) -> None:
    """The image of a unit and three rows of examples: which row excites the unit most?"""
    prefix = key(session, "quiz", site)
    number = st.session_state.setdefault(prefix, 0)
    scope = session.microscope
    try:
        question = quiz.ask(scope, site, number)
    except AuditgameError as error:
        st.warning(plain(error))
        return
    image, rows = st.columns([1, 3], gap="large")
    with image:
        st.markdown("**Which examples belong to this image?**")
        shown = png(scope.unit_images[site].most[question.unit] / 255)
        st.html(tiles([figure(shown, alt="feature visualisation of one unit")], 1))
    answer = st.session_state.get(f"{prefix}/answer")
    with rows:
        for place, unit in enumerate(question.choices):
            _option(session, site, unit, place, answer, question.right)
    if answer is not None:
        with image:
            _verdict(session, site, question, answer, prefix)


def _option(
    session: AuditSession, site: str, unit: int, place: int, answer: int | None, right: int
) -> None:
    """One row of examples, with a coloured frame once the question is answered."""
    prefix = key(session, "quiz", site)
    letter = "ABC"[place]
    tone = (
        "plain"
        if answer is None
        else "good"
        if place == right
        else "bad"
        if place == answer
        else "plain"
    )
    examples = session.microscope.examples(site, unit, quiz.SHOWN).tiles
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        figures = [figure(t.png, tone=tone, alt=f"example of {letter}") for t in examples]
        st.html(tiles(figures, quiz.SHOWN), width="stretch")

        def choose() -> None:
            st.session_state[f"{prefix}/answer"] = place

        st.button(
            f"These: {letter}",
            on_click=choose,
            disabled=answer is not None,
            key=f"{prefix}/{place}",
        )


def _verdict(
    session: AuditSession, site: str, question: quiz.QuizQuestion, answer: int, prefix: str
) -> None:
    def advance() -> None:
        st.session_state[prefix] += 1
        st.session_state.pop(f"{prefix}/answer")

    right = answer == question.right
    verdict = "Correct." if right else f"It was {'ABC'[question.right]}."
    st.markdown(f"**{verdict}** The image belongs to {plain(site)}:{question.unit}.")
    with st.container(horizontal=True):
        st.button("Next question", type="primary", on_click=advance, key=f"{prefix}/next")
        page = partial(open_unit, session, f"{site}:{question.unit}")
        st.button("Open its page", on_click=page, key=f"{prefix}/page")
