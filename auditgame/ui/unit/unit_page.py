"""The page of one unit: pictures, examples, how much it says, its neighbours, its twins."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

import streamlit as st

from auditgame.datasets.images.pictures import png
from auditgame.evaluation.mechanism import MAX_UNITS
from auditgame.exhibits import Exhibit
from auditgame.exhibits.drawing import kernel_png, weights_png
from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.tools.vision.microscope import Link, Microscope
from auditgame.ui.draft import case, key, update
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import bars, figure, plain, tiles
from auditgame.ui.widgets.image_links import ImageLink, choose_image


def address(session: AuditSession, site: str, unit: int) -> str:
    """The stable link of a unit's page."""
    return "?" + urlencode({"id": session.card.id, "site": site, "unit": unit})


def open_unit(session: AuditSession, name: str) -> None:
    """Go to the page of a unit such as conv3:17."""
    site, _, unit = name.rpartition(":")
    st.session_state[key(session, "layer")] = site
    st.query_params.from_dict({"id": session.card.id, "site": site, "unit": unit})


def open_layer(session: AuditSession, site: str) -> None:
    """Go back to all units of a layer."""
    st.query_params.from_dict({"id": session.card.id, "site": site})


def unit_page(session: AuditSession, site: str, unit: int) -> None:
    """Everything about one unit."""
    scope = session.microscope
    st.subheader(f"{site}:{unit}")
    _actions(session, site, unit)
    pictures, examples = st.columns([2, 3], gap="large")
    with pictures:
        _exhibit(session, scope.pictures(site, unit))
        _exhibit(session, scope.histogram(site, unit))
    with examples:
        _exhibit(session, scope.examples(site, unit))
        st.markdown("**What the classes gain from it**")
        weights = scope.class_weights[site][unit].tolist()
        named = sorted(
            zip(scope.specimen.dataset.classes, weights, strict=True), key=lambda p: -p[1]
        )
        st.html(bars(named))
    _circuit(session, site, unit)
    _twins(scope, site, unit)
    _ablation(session, f"{site}:{unit}")


def _actions(session: AuditSession, site: str, unit: int) -> None:
    """Leaf through the layer, go back to it, or name the unit as one that carries the flaw."""
    units, named = session.microscope.specimen.site(site).units, list(case(session)["units"])
    name = f"{site}:{unit}"
    with st.container(horizontal=True):
        st.button(f"All of {site}", on_click=partial(open_layer, session, site))
        for words, other in (("Previous unit", unit - 1), ("Next unit", unit + 1)):
            leaf = partial(open_unit, session, f"{site}:{other % units}")
            st.button(words, on_click=leaf)

        def note() -> None:
            update(session, units=[*named, name])
            st.session_state.pop(key(session, "units"), None)

        done = name in named
        words = "In your case file" if done else "It carries the flaw"
        full = len(named) >= MAX_UNITS["image"]
        st.button(words, on_click=note, disabled=done or full, help="Adds it to your case file.")


def _exhibit(session: AuditSession, exhibit: Exhibit) -> None:
    mark = digest(exhibit.model_dump(mode="json"))
    done = mark in {pin.ref["exhibit"] for pin in session.pins()}

    def button() -> None:
        label = "Pinned" if done else "Pin as evidence"
        pin = partial(session.pin, exhibit)
        st.button(label, type="tertiary", on_click=pin, disabled=done, key=f"{exhibit.title}/pin")

    with st.container(border=True):
        draw(exhibit, exhibit.title, button)


# ------------------------------------------------------------------ circuits


def _circuit(session: AuditSession, site: str, unit: int) -> None:
    scope = session.microscope
    st.markdown("#### Circuit")
    st.caption(
        "Strongest weights. Kernels: warm excites, cold inhibits; all of one row on one scale."
    )
    before, after = scope.neighbour(site, -1), scope.neighbour(site, 1)
    if before is None:
        shown = weights_png(scope.wires(site)[unit].tolist())
        st.html(tiles([figure(shown, "its weights on the picture", "grey: none")], 8))
    else:
        st.markdown(f"Takes from {plain(before)}")
        _links(session, before, scope.incoming(site, unit), "incoming")
    if after is not None:
        st.markdown(f"Gives to {plain(after)}")
        _links(session, after, scope.outgoing(site, unit), "outgoing")


def _links(session: AuditSession, site: str, links: list[Link], name: str) -> None:
    sheet = session.microscope.sheets[site]
    limit = max((float(link.kernel.abs().max()) for link in links), default=1.0)
    choices = [
        ImageLink(
            name=f"{site}:{link.unit}",
            href=address(session, site, link.unit),
            pictures=(png(sheet.most[link.unit] / 255), kernel_png(link.kernel.tolist(), limit)),
            label=f"{site}:{link.unit}",
            note=f"sum {float(link.kernel.sum()):+.2f}",
        )
        for link in links
    ]
    choose_image(choices, key(session, "links", name), partial(open_unit, session), least=170)


# ----------------------------------------------------------- twins, ablation


def _twins(scope: Microscope, site: str, unit: int) -> None:
    st.markdown("#### Twins in the clean siblings")
    st.caption(
        "The unit of each sibling whose values over the pool correlate best with this one's. "
        "Where all are low, it does something that clean models do not, or the pool cannot tell."
    )
    found = scope.twins(site, unit)
    for column, twin in zip(st.columns(max(1, len(found)), gap="large"), found, strict=False):
        words = f"unit {twin.unit}, correlation {twin.correlation:.2f}"
        column.markdown(f"**Sibling {twin.reference + 1}**, {words}")
        shown = scope.twin_examples(site, twin)
        column.html(tiles([figure(tile.png, tile.label) for tile in shown], 4, least=70))


def _ablation(session: AuditSession, unit: str) -> None:
    st.markdown("#### Without it")
    try:
        cost = session.price("ablation", units=(unit,))
        if st.toggle(f"Hold {plain(unit)} at its mean · {cost:,} probes", key=f"off {unit}"):
            for exhibit in session.run_tool("ablation", units=(unit,)).exhibits:
                _exhibit(session, exhibit)
    except AuditgameError as error:
        st.warning(plain(error))
