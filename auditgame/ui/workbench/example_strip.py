"""The examples of a challenge: a few on its card, all of them on the workbench."""

from __future__ import annotations

import io
import json
from pathlib import Path

import streamlit as st
from PIL import Image

from auditgame import bundles
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.exhibits.drawing import as_png, data_uri
from auditgame.play.audit_session import AuditSession
from auditgame.schema.cards import Card
from auditgame.schema.errors import AuditgameError, Invalid
from auditgame.ui.draft import key
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import plain, safe

ON_CARD, LETTERS = 6, 160
"""Pictures on a card; letters of the text on a card."""
STEP = {"image": 24, "text": 6}
"""Examples on the workbench at first, and more with each press of the button."""
MOST_PIXELS = 50_000_000


def strip(card: Card) -> None:
    """The first pictures of a challenge side by side, or the beginning of its first text."""
    try:
        st.html(_strip(card.commitment, card))
    except AuditgameError as error:
        st.caption(plain(error))


@st.cache_data(max_entries=512, show_spinner=False)
def _strip(commitment: str, _card: Card) -> str:
    folder = Path(_card.path)
    files = bundles.read_manifest(folder).files
    if _card.modality == "text":
        text = _first_text(bundles.read_file(folder, bundles.LABELS, files), folder.name)
        return f'<p class="ag-quote">{safe(text[:LETTERS])} …</p>'
    pictures = _first_pictures(bundles.read_file(folder, bundles.PICTURES, files), folder.name)
    shown = "".join(f'<img src="{data_uri(png)}" alt="">' for png in pictures)
    return f'<div class="ag-thumbs">{shown}</div>'


def _first_text(labels: bytes, where: str) -> str:
    try:
        return str(json.loads(labels)["texts"][0])
    except (ValueError, LookupError, TypeError):
        raise Invalid(f"{where}: {bundles.LABELS} holds no texts") from None


def _first_pictures(sheet: bytes, where: str) -> list[bytes]:
    try:
        with Image.open(io.BytesIO(sheet), formats=["PNG"]) as image:
            side = image.width // bundles.COLUMNS
            if image.width * image.height > MOST_PIXELS:
                raise Invalid(f"{where}: {bundles.PICTURES} is too large")
            row = image.convert("RGB").crop((0, 0, image.width, side))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise Invalid(f"{where}: {bundles.PICTURES} is not a readable PNG") from None
    return [as_png(row.crop((k * side, 0, (k + 1) * side, side))) for k in range(ON_CARD)]


def example_list(session: AuditSession) -> None:
    """The player's examples with their numbers and labels; looking at them is free."""
    name, step = key(session, "examples shown"), STEP[session.card.modality]
    pool, shown = len(session.context.examples), st.session_state.get(name, step)

    def more() -> None:
        st.session_state[name] = shown + step

    with st.container(border=True):
        draw(_examples(session, min(shown, pool)), name)
        if shown < pool:
            st.button("Show more", type="tertiary", on_click=more, key=f"{name}-more")


def _examples(session: AuditSession, shown: int) -> Exhibit:
    """The first examples, as many as `shown`."""
    from auditgame.datasets.images.pictures import png

    pool, classes = session.context.examples, session.card.classes
    title = f"Your {len(pool)} examples"
    note = "Tools refer to them by these numbers. Each has its true label. Looking is free."
    rows = list(zip(pool.inputs[:shown], pool.labels[:shown].tolist(), strict=True))
    if session.card.modality == "image":
        tiles = [Tile(png=png(x), label=f"#{n} {classes[y]}") for n, (x, y) in enumerate(rows)]
        return Gallery(name="pool", title=title, tiles=tuple(tiles), note=note)
    texts = [(f"#{n}", session.texts.decode(x), classes[y]) for n, (x, y) in enumerate(rows)]
    return Table(
        name="pool",
        title=title,
        columns=columns(("example", "#"), "text", ("label", "true label")),
        rows=tuple(texts),
        note=note,
    )
