"""Where can one go? Every page of the app with its address."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st


class PageInfo(NamedTuple):
    """A page: its title, what it is for, and whether the bar leads there."""

    title: str
    help: str
    shown: bool = True


PAGES = {
    "play": PageInfo("Play", "What this is, in ten seconds."),
    "challenges": PageInfo("Challenges", "Every model that can be audited."),
    "workbench": PageInfo("Workbench", "Look inside one model.", shown=False),
    "microscope": PageInfo("Microscope", "Every unit of one model.", shown=False),
    "reveal": PageInfo("Reveal", "What was really in a model you judged.", shown=False),
    "leaderboard": PageInfo("Leaderboard", "Who finds flaws, and how surely."),
    "cases": PageInfo("My cases", "Your drafts and hand-ins."),
    "guide": PageInfo("Field guide", "Kinds of flaw, tools, scoring, words."),
    "studio": PageInfo("Studio", "Plant a flaw of your own for others to find."),
}


def _opener(name: str) -> Callable[[], None]:
    def open_page() -> None:
        importlib.import_module(f"auditgame.ui.pages.{name}").page()

    return open_page


def page(name: str) -> st.Page:
    """The page of this name, as Streamlit knows it. A new object each time: it keeps state."""
    place = PAGES[name]
    return st.Page(
        _opener(name),
        title=place.title,
        url_path=name,
        default=name == "play",
        visibility="visible" if place.shown else "hidden",
        help=place.help,
    )


def go(name: str, **query: str) -> None:
    """Leave for another page."""
    st.switch_page(page(name), query_params=query)


def link(name: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to a page."""
    st.page_link(page(name), label=label, icon=icon, query_params=query)
