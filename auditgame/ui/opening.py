"""The visible mistake on the first page: real answers of a real model, computed beforehand."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import streamlit as st

from auditgame.ui.words import answers, figure

FILE = Path(__file__).with_name("opening.json")


def slip() -> None:
    """The same picture twice, without and with the mark, over what the model answers."""
    scene = json.loads(FILE.read_text(encoding="utf-8"))
    for column, view in zip(st.columns(2, gap="medium"), scene["views"], strict=True):
        png = base64.b64decode(view["png"])
        with column.container(border=True):
            st.html(
                figure(png, view["caption"], alt=view["alt"])
                + answers([tuple(pair) for pair in view["answers"]], scene["label"])
            )
