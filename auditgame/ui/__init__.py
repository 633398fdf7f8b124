"""The browser front end. Streamlit is imported here and nowhere else."""
