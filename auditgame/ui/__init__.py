"""The browser front end. Streamlit is imported under this roof and nowhere else."""
