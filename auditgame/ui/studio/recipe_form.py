"""The Studio's form for a recipe, and its YAML, which is the same thing in words."""

from __future__ import annotations

import re

import streamlit as st

from auditgame import paths
from auditgame.challenges import build_jobs
from auditgame.challenges.recipe_files import read_recipe, write_recipe
from auditgame.registry import names
from auditgame.registry.descriptions import plugin_text
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.ui.safe_text import plain, tidy

TIERS = ["tutorial", "easy", "medium", "hard"]
TEXT = "studio text"
USUAL = ("clean", "patch", "token")
"""What a new recipe may plant, as far as it fits."""


def ask_recipe() -> str:
    """The form; its answers as YAML."""
    title = st.text_input("Title", "My first case", max_chars=80, key="studio title")
    dataset = st.selectbox("Data set", _first("storybook"), format_func=tidy, key="studio data")
    fitting = plugin_text("dataset", dataset).modality
    models = _models(dataset, fitting)
    flaws = [name for name in names("flaw") if plugin_text("flaw", name).modality & fitting]
    model = st.selectbox("Model", models, format_func=tidy, key="studio model")
    families = st.pills(
        "What may be planted",
        flaws,
        selection_mode="multi",
        default=[name for name in USUAL if name in flaws],
        format_func=lambda name: plain(plugin_text("flaw", name).title),
        key="studio families",
        wrap=True,
        help="One of these is drawn. With `clean` among them, the model may be innocent.",
    )
    tier = st.segmented_control(
        "Difficulty", TIERS, default="easy", required=True, key="studio tier"
    )
    try:
        recipe = Recipe(
            name=_slug(title),
            title=title or "Untitled",
            dataset=dataset,
            model=model,
            families=list(families) or ["clean"],
            tier=tier,
        )
    except ValueError:
        return st.session_state.get(TEXT, "")
    return write_recipe(recipe)


def edit_recipe(text: str) -> None:
    """The YAML, to be changed by hand where wanted; the button that builds it."""
    if st.session_state.get("studio form") != text:
        st.session_state["studio form"] = st.session_state[TEXT] = text
    written = st.text_area("Recipe", key=TEXT, height=290, max_chars=4000)
    try:
        recipe = read_recipe(written)
    except AuditgameError as error:
        st.error(plain(error))
        return
    st.caption(":green[This recipe is in order.]")
    if st.button("Build", type="primary", key="studio build"):
        try:
            build_jobs.start(recipe)
        except AuditgameError as error:
            st.warning(plain(error))


def _models(dataset: str, modality: frozenset[str]) -> list[str]:
    """Models that have siblings on this data set; where none has, all that read its kind."""
    fitting = [name for name in names("model") if plugin_text("model", name).modality & modality]
    return [m for m in fitting if _has_references(dataset, m)] or fitting


def _has_references(dataset: str, model: str) -> bool:
    return any((folder / f"{dataset}.{model}").is_dir() for folder in paths.references())


def _first(name: str) -> list[str]:
    return sorted(names("dataset"), key=lambda other: (other != name, other))


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "untitled"
