"""Uploaded pictures: decoded and resized on the server before anything else reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.ui.draft import key
from auditgame.ui.safe_text import figure, plain

if TYPE_CHECKING:
    from torch import Tensor


def ask_picture(session: AuditSession) -> Tensor | None:
    """The uploaded picture at the data set's size; None where there is none that can be read."""
    from auditgame.datasets.images.pictures import png

    st.file_uploader(
        "Your picture",
        type=["png", "jpg", "jpeg", "webp", "gif", "bmp"],
        key=key(session, "upload"),
    )
    try:
        picture = _uploaded(session)
    except AuditgameError as error:
        st.error(plain(error))
        return None
    if picture is not None:
        with st.container(width=160):
            st.html(figure(png(picture), "as the model sees it"))
    return picture


def uploaded_png(session: AuditSession) -> bytes | None:
    """The uploaded picture as the model sees it; None where there is none that can be read."""
    from auditgame.datasets.images.pictures import png

    try:
        picture = _uploaded(session)
    except AuditgameError:
        return None
    return None if picture is None else png(picture)


def _uploaded(session: AuditSession) -> Tensor | None:
    from auditgame.datasets.images.pictures import open_picture

    upload: Any = st.session_state.get(key(session, "upload"))
    return None if upload is None else open_picture(upload.getvalue(), session.dataset.shape)
