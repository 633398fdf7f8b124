"""The pages of the app, their addresses, and links to them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st


class PageInfo(NamedTuple):
    """A page: its title, what it is for, and whether the navigation bar shows it."""

    title: str
    help: str
    shown: bool = True


PAGES = {
    "play": PageInfo("Play", "What this is, in ten seconds."),
    "challenges": PageInfo("Challenges", "Every model that can be audited."),
    "workbench": PageInfo("Workbench", "Examine one model.", shown=False),
    "microscope": PageInfo("Microscope", "Every unit of one model.", shown=False),
    "reveal": PageInfo("Reveal", "The true diagnosis of a model that you judged.", shown=False),
    "leaderboard": PageInfo("Leaderboard", "Who finds flaws, and how reliably."),
    "cases": PageInfo("My cases", "Your drafts and submissions."),
    "guide": PageInfo("Field guide", "Families of flaws, tools, scoring, glossary."),
    "studio": PageInfo("Studio", "Build a challenge of your own."),
}


def _opener(name: str) -> Callable[[], None]:
    def open_page() -> None:
        importlib.import_module(f"auditgame.ui.pages.{name}").page()

    return open_page


def page(name: str) -> st.Page:
    """The page of this name as a Streamlit object. A new one each time: it keeps state."""
    info = PAGES[name]
    return st.Page(
        _opener(name),
        title=info.title,
        url_path=name,
        default=name == "play",
        visibility="visible" if info.shown else "hidden",
        help=info.help,
    )


def go(name: str, **query: str) -> None:
    """Switch to another page."""
    st.switch_page(page(name), query_params=query)


def link(name: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to a page."""
    st.page_link(page(name), label=label, icon=icon, query_params=query)
