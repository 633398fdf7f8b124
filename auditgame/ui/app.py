"""The entry script of the app: page settings, styles and the navigation bar."""

from pathlib import Path

import streamlit as st

from auditgame.ui.navigation import PAGES, page

HERE = Path(__file__).parent

st.set_page_config(
    page_title="auditgame",
    page_icon=str(HERE / "icon.png"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
st.logo(str(HERE / "icon.png"), size="large")
st.html(HERE / "style.css")
st.navigation([page(name) for name in PAGES], position="top").run()
