"""The front door: `streamlit run streamlit_app.py` opens the game in the browser."""

from auditgame.ui.server import build

app = build()
