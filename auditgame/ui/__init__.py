"""The browser interface. No other package imports Streamlit."""
