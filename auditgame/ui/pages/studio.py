"""Studio: build challenges of one's own."""

from __future__ import annotations

import streamlit as st

from auditgame.ui.studio.build_list import build_list
from auditgame.ui.studio.recipe_form import ask_recipe, edit_recipe


def page() -> None:
    """Draw the recipe form, its YAML, and the builds."""
    st.title("Studio")
    st.markdown(
        "Choose what may be planted. A secret seed draws the rest, so you can play your own "
        "challenge without knowing its answer."
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        text = ask_recipe()
    with right:
        edit_recipe(text)
    build_list()
