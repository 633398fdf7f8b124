"""The Studio's form for a recipe, and the YAML file that it writes."""

from __future__ import annotations

import re
from functools import partial

import streamlit as st

from auditgame import paths
from auditgame.challenges import build_jobs
from auditgame.challenges.recipe_files import read_recipe, write_recipe
from auditgame.plugins.descriptions import plugin_text, title
from auditgame.registry import names
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.ui.safe_text import plain

TIERS = ["tutorial", "easy", "medium", "hard"]
TEXT = "studio text"
DEFAULTS = ("clean", "patch", "token")
"""Families of a new recipe, as far as they fit the data set."""


def ask_recipe() -> str:
    """Draw the form; its values as YAML."""
    name = st.text_input(
        "Title",
        "My first challenge",
        max_chars=80,
        key="studio title",
        help="For you. Players see a title that the seed draws.",
    )
    dataset = st.selectbox(
        "Data set", _first("storybook"), format_func=partial(title, "dataset"), key="studio data"
    )
    fitting = plugin_text("dataset", dataset).modality
    models = _models(dataset, fitting)
    flaws = [name for name in names("flaw") if plugin_text("flaw", name).modality & fitting]
    model = st.selectbox("Model", models, format_func=partial(title, "model"), key="studio model")
    families = st.pills(
        "Possible flaws",
        flaws,
        selection_mode="multi",
        default=[name for name in DEFAULTS if name in flaws],
        format_func=lambda family: plain(title("flaw", family)),
        key="studio families",
        wrap=True,
        help=f"One of these is drawn. '{title('flaw', 'clean')}' leaves the model clean.",
    )
    tier = st.segmented_control(
        "Difficulty", TIERS, default="easy", required=True, key="studio tier"
    )
    try:
        recipe = Recipe(
            name=_slug(name),
            title=name or "Untitled",
            dataset=dataset,
            model=model,
            families=list(families) or ["clean"],
            tier=tier,
        )
    except ValueError:
        return st.session_state.get(TEXT, "")
    return write_recipe(recipe)


def edit_recipe(text: str) -> None:
    """Draw the YAML, which can be edited by hand, and the button that builds it."""
    if st.session_state.get("studio form") != text:
        st.session_state["studio form"] = st.session_state[TEXT] = text
    written = st.text_area("Recipe", key=TEXT, height=290, max_chars=4000)
    try:
        recipe = read_recipe(written)
    except AuditgameError as error:
        st.error(plain(error))
        return
    st.caption(":green[The recipe is valid.]")
    if st.button("Build", type="primary", key="studio build"):
        try:
            build_jobs.start(recipe)
        except AuditgameError as error:
            st.warning(plain(error))


def _models(dataset: str, modality: frozenset[str]) -> list[str]:
    """Models with reference models on this data set; where there are none, all that fit it."""
    fitting = [name for name in names("model") if plugin_text("model", name).modality & modality]
    return [m for m in fitting if _has_references(dataset, m)] or fitting


def _has_references(dataset: str, model: str) -> bool:
    return any((folder / f"{dataset}.{model}").is_dir() for folder in paths.references())


def _first(name: str) -> list[str]:
    """All data sets, this one first."""
    return sorted(names("dataset"), key=lambda other: (other != name, other))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "untitled"
