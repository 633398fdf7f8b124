"""The entry script of the app: page settings, styles and the navigation bar."""

from pathlib import Path

import streamlit as st

from auditgame.ui.navigation import PAGES, page

ASSETS = Path(__file__).parents[1]

st.set_page_config(
    page_title="auditgame",
    page_icon=str(ASSETS / "icon.png"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
st.logo(str(ASSETS / "icon.png"), size="large")
st.html(ASSETS / "style.css")
st.navigation([page(name) for name in PAGES], position="top").run()
