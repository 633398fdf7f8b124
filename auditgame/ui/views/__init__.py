"""One file per page of the app; each has one function, `page`.

Not called `pages`: Streamlit would take such a folder beside its script for pages of its own.
"""
