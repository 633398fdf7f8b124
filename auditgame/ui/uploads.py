"""Pictures that players bring: looked at on the server before anything else sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from auditgame.desk import Desk
from auditgame.types import AuditgameError
from auditgame.ui.case import key
from auditgame.ui.words import figure, plain

if TYPE_CHECKING:
    from torch import Tensor


def ask_picture(desk: Desk) -> Tensor | None:
    """An uploaded picture at the data set's size; None where there is none that can be read."""
    from auditgame.pictures import open_picture, png

    upload = st.file_uploader(
        "Your picture", type=["png", "jpg", "jpeg", "webp", "gif", "bmp"], key=key(desk, "upload")
    )
    if upload is None:
        return None
    try:
        picture = open_picture(upload.getvalue(), desk.dataset.shape)
    except AuditgameError as error:
        st.error(plain(error))
        return None
    with st.container(width=160):
        st.html(figure(png(picture), "as the model sees it"))
    return picture
