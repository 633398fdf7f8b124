"""The page of one unit: images, examples, distribution, circuit, similar units, ablation."""

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
from auditgame.ui.draft import key, read_draft, update
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import bars, figure, plain, tiles
from auditgame.ui.widgets.image_links import ImageLink, choose_image


def address(session: AuditSession, site: str, unit: int) -> str:
    """The permanent link of a unit's page."""
    return "?" + urlencode({"id": session.card.id, "site": site, "unit": unit})


def open_unit(session: AuditSession, name: str) -> None:
    """Open the page of a unit such as conv3:17."""
    site, _, unit = name.rpartition(":")
    st.session_state[key(session, "layer")] = site
    st.query_params.from_dict({"id": session.card.id, "site": site, "unit": unit})


def open_layer(session: AuditSession, site: str) -> None:
    """Go back to all units of a layer."""
    st.query_params.from_dict({"id": session.card.id, "site": site})


def unit_page(session: AuditSession, site: str, unit: int) -> None:
    """Draw everything that is known of one unit."""
    scope = session.microscope
    st.subheader(f"{site}:{unit}")
    _actions(session, site, unit)
    images, examples = st.columns([2, 3], gap="large")
    with images:
        _exhibit(session, scope.pictures(site, unit))
        _exhibit(session, scope.histogram(site, unit))
    with examples:
        _exhibit(session, scope.examples(site, unit))
        st.markdown("**Effect on the class logits**")
        weights = scope.class_weights[site][unit].tolist()
        named = sorted(
            zip(scope.specimen.dataset.classes, weights, strict=True), key=lambda p: -p[1]
        )
        st.html(bars(named))
    _circuit(session, site, unit)
    _similar_units(scope, site, unit)
    _ablation(session, f"{site}:{unit}")


def _actions(session: AuditSession, site: str, unit: int) -> None:
    """Buttons to step through the layer, to go back to it, and to add the unit to the diagnosis."""
    units = session.microscope.specimen.site(site).units
    named, name = list(read_draft(session)["units"]), f"{site}:{unit}"
    with st.container(horizontal=True):
        st.button(f"All of {site}", on_click=partial(open_layer, session, site))
        for label, other in (("Previous unit", unit - 1), ("Next unit", unit + 1)):
            step = partial(open_unit, session, f"{site}:{other % units}")
            st.button(label, on_click=step)

        def add() -> None:
            update(session, units=[*named, name])
            st.session_state.pop(key(session, "units"), None)

        added = name in named
        label = "In your diagnosis" if added else "Add to my diagnosis"
        full = len(named) >= MAX_UNITS["image"]
        help = "States that this unit carries the flaw."
        st.button(label, on_click=add, disabled=added or full, help=help)


def _exhibit(session: AuditSession, exhibit: Exhibit) -> None:
    mark = digest(exhibit.model_dump(mode="json"))
    pinned = mark in {pin.ref["exhibit"] for pin in session.pins()}

    def button() -> None:
        label = "Pinned" if pinned else "Pin as evidence"
        pin, name = partial(session.pin, exhibit), f"{exhibit.title}/pin"
        st.button(label, type="tertiary", on_click=pin, disabled=pinned, key=name)

    with st.container(border=True):
        draw(exhibit, exhibit.title, button)


# ------------------------------------------------------------------ circuits


def _circuit(session: AuditSession, site: str, unit: int) -> None:
    scope = session.microscope
    st.markdown("#### Circuit")
    st.caption(
        "The strongest weights to and from this unit. Kernels: warm excites, cold inhibits; "
        "kernels of one row share a scale."
    )
    before, after = scope.neighbour(site, -1), scope.neighbour(site, 1)
    if before is None:
        shown = weights_png(scope.kernels(site)[unit].tolist())
        st.html(tiles([figure(shown, "its weights on the picture", "grey: zero")], 8))
    else:
        st.markdown(f"Inputs from {plain(before)}")
        _links(session, before, scope.incoming(site, unit), "incoming")
    if after is not None:
        st.markdown(f"Outputs to {plain(after)}")
        _links(session, after, scope.outgoing(site, unit), "outgoing")


def _links(session: AuditSession, site: str, links: list[Link], name: str) -> None:
    images = session.microscope.unit_images[site].most
    limit = max((float(link.kernel.abs().max()) for link in links), default=1.0)
    choices = [
        ImageLink(
            name=f"{site}:{link.unit}",
            href=address(session, site, link.unit),
            pictures=(png(images[link.unit] / 255), kernel_png(link.kernel.tolist(), limit)),
            label=f"{site}:{link.unit}",
            note=f"sum {float(link.kernel.sum()):+.2f}",
        )
        for link in links
    ]
    choose_image(choices, key(session, "links", name), partial(open_unit, session), least=170)


# ---------------------------------------------------- similar units, ablation


def _similar_units(scope: Microscope, site: str, unit: int) -> None:
    st.markdown("#### Most similar units of the reference models")
    st.caption(
        "In each clean reference model, the unit whose activations over the pool correlate most "
        "with this one's. Where all correlations are low, this unit does something that clean "
        "models do not, or the pool is too small to tell."
    )
    found = scope.similar_units(site, unit)
    for column, twin in zip(st.columns(max(1, len(found)), gap="large"), found, strict=False):
        column.markdown(
            f"**Reference model {twin.reference + 1}**, unit {twin.unit}, "
            f"correlation {twin.correlation:.2f}"
        )
        shown = scope.similar_unit_examples(site, twin)
        column.html(tiles([figure(tile.png, tile.label) for tile in shown], 4, least=70))


def _ablation(session: AuditSession, unit: str) -> None:
    st.markdown("#### Ablation")
    try:
        cost = session.price("ablation", units=(unit,))
        if st.toggle(f"Set {plain(unit)} to its mean · {cost:,} queries", key=f"off {unit}"):
            for exhibit in session.run_tool("ablation", units=(unit,)).exhibits:
                _exhibit(session, exhibit)
    except AuditgameError as error:
        st.warning(plain(error))
