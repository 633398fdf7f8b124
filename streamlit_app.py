"""The server of the app: `streamlit run streamlit_app.py` opens the game in the browser."""

import streamlit as st

from auditgame.ui.server import SCRIPT, cookies, warm

app = st.App(SCRIPT, lifespan=warm, middleware=[cookies()])
