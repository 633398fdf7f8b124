"""The front door: `streamlit run streamlit_app.py` opens the game in the browser."""

import streamlit as st

from auditgame.ui.server import FRONT, cookies, warm

app = st.App(FRONT, lifespan=warm, middleware=[cookies()])
