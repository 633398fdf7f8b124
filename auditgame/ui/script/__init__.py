"""The app's script. It has a folder of its own because Streamlit claims a `pages` folder beside it.

With the script beside `auditgame/ui/pages`, the first visitor of a link such as /workbench would
be served the file `pages/workbench.py` as a page, which draws nothing.
"""
