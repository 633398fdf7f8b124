"""One title for each family, tool, data set and model, wherever people read of it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import get_args

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from auditgame.cli import app as command_line
from auditgame.game import Game
from auditgame.plugins.descriptions import plugin_text, title
from auditgame.registry import Kind, load, names
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import ToolQuestion
from auditgame.ui.pages.guide import CHAPTERS
from auditgame.ui.safe_text import plain
from tests.test_app import view

KINDS = get_args(Kind)
TITLED = [(kind, name) for kind in KINDS for name in names(kind)]
CODE_NAMES = sorted({name for _, name in TITLED if re.search(r"[_\d]", name)})
"""Names that no title and no sentence contains: in a text for people, they are a mistake."""


@pytest.fixture
def game(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Game]:
    """The practice pack with an empty database, for the app and the command line."""
    monkeypatch.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path / 'titles.sqlite3'}")
    st.cache_resource.clear()
    yield Game()
    st.cache_resource.clear()


def card(game: Game, **wanted: str) -> Card:
    """The first card with these values."""
    return next(c for c in game.cards() if all(getattr(c, k) == v for k, v in wanted.items()))


def texts(app: AppTest) -> list[str]:
    """What a page shows, widgets aside."""
    assert not app.exception
    parts = [*app.markdown, *app.caption, *app.html, *app.warning, *app.subheader, *app.title]
    return [re.sub(r"\\(.)", r"\1", part.value) for part in parts]


def families(chosen: Card) -> list[str]:
    """The titles of a card's families."""
    return [title("flaw", name) for name in chosen.families]


def run(*words: str) -> str:
    """What a command prints, on one line."""
    result = CliRunner(env={"COLUMNS": "400"}).invoke(command_line, words)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


# ------------------------------------------------------------------ the titles themselves


@pytest.mark.parametrize("kind", KINDS)
def test_titles_of_a_kind_are_distinct(kind: Kind) -> None:
    titles = [title(kind, name) for name in names(kind)]
    assert len({text.lower() for text in titles}) == len(titles)


@pytest.mark.parametrize(("kind", "name"), TITLED)
def test_the_source_is_read_as_python_reads_it(kind: Kind, name: str) -> None:
    plugin, described = load(kind, name), plugin_text(kind, name)
    modality = {plugin.modality} if isinstance(plugin.modality, str) else plugin.modality
    assert described.title == getattr(plugin, "title", described.title)
    assert described.text == inspect.getdoc(plugin)
    assert described.modality == modality
    assert described.asks == getattr(plugin, "asks", "")
    assert not any(code in described.title for code in CODE_NAMES)


# ------------------------------------------------------------------ the app


def test_cards_use_titles(game: Game) -> None:
    shown = texts(view("challenges"))
    for each in game.cards():
        dataset, model = title("dataset", each.dataset), title("model", each.model)
        assert f"{dataset} · {model} · {each.id}" in shown
        assert f"Possible flaws: {', '.join(families(each))}" in shown
    assert not [text for text in shown for code in CODE_NAMES if code in text]


@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_form_and_the_tools_use_titles(game: Game, modality: str) -> None:
    chosen = card(game, modality=modality)
    app = view("workbench", id=chosen.id)
    form = app.selectbox(key=f"{chosen.id}/family")
    assert form.options == families(chosen)
    shown = []
    for question in get_args(ToolQuestion):
        app.segmented_control(key=f"{chosen.id}/question").set_value(question).run()
        shown += app.pills(key=f"{chosen.id}/tool/{question}").options
        heading = app.pills(key=f"{chosen.id}/tool/{question}").value
        assert f"#### {title('tool', heading)}" in texts(app)
    fitting = game.open(chosen.id, game.guest("someone")).tools()
    assert sorted(shown) == sorted(plain(title("tool", name)) for name in fitting)


def test_the_reveal_uses_titles(game: Game) -> None:
    chosen = card(game, dataset="digits", tier="easy")
    player = game.guest("someone")
    game.submit(chosen.id, player, Diagnosis(p_flawed=0.6, family=chosen.families[0]))
    shown, family = texts(view("reveal", id=chosen.id)), game.reveal(chosen.id, player).family
    assert any(text.startswith(f"**{title('flaw', family)}.**") for text in shown)
    assert f"Family: **{title('flaw', chosen.families[0])}**" in shown


def test_the_studio_uses_titles(game: Game) -> None:
    app = view("studio")
    assert not app.exception
    datasets, models = app.selectbox(key="studio data"), app.selectbox(key="studio model")
    assert sorted(datasets.options) == sorted(title("dataset", name) for name in names("dataset"))
    assert set(models.options) <= {title("model", name) for name in names("model")}
    shown = app.pills(key="studio families").options
    assert set(shown) <= {plain(title("flaw", name)) for name in names("flaw")}


@pytest.mark.parametrize(("chapter", "kind"), [pair for pair in CHAPTERS.items() if pair[1]])
def test_the_field_guide_uses_titles(game: Game, chapter: str, kind: Kind) -> None:
    app = view("guide")
    app.segmented_control(key="chapter").set_value(chapter).run()
    headings = [text.removeprefix("#### ") for text in texts(app) if text.startswith("#### ")]
    assert sorted(headings) == sorted(title(kind, name) for name in names(kind))


# ------------------------------------------------------------------ the command line


def test_list_and_show_use_titles(game: Game) -> None:
    printed = run("list")
    for each in game.cards():
        assert f"{title('dataset', each.dataset)} {title('model', each.model)}" in printed
    assert not [code for code in CODE_NAMES if code in printed]
    chosen = card(game, dataset="storybook")
    printed = run("show", chosen.id)
    assert f"{title('model', chosen.model)} trained on {title('dataset', 'storybook')}" in printed
    assert ", ".join(f"{title('flaw', name)} ({name})" for name in chosen.families) in printed


def test_json_holds_code_names_that_can_be_typed(game: Game) -> None:
    for each in json.loads(CliRunner().invoke(command_line, ["list", "--json"]).stdout):
        assert each["dataset"] in names("dataset")
        assert each["model"] in names("model")
        assert set(each["families"]) <= set(names("flaw"))


def test_tools_are_listed_by_name_and_title(game: Game) -> None:
    printed = run("tools")
    told = json.loads(CliRunner().invoke(command_line, ["tools", "--json"]).stdout)
    assert {tool["name"]: tool["title"] for tool in told} == {
        name: title("tool", name) for name in names("tool")
    }
    for name in names("tool"):
        assert f"{name} {title('tool', name)}" in printed
    assert run("tools", "gradcam").startswith(f"{title('tool', 'gradcam')} (gradcam)")


def test_the_revealed_family_is_printed_by_its_title(game: Game, tmp_path) -> None:
    chosen, said = card(game, dataset="digits", tier="easy"), tmp_path / "said.json"
    said.write_text("{}")
    run("submit", chosen.id, "--player", "ada", "--diagnosis", str(said))
    family = game.reveal(chosen.id, "ada").family
    assert run("reveal", chosen.id, "--player", "ada").startswith(title("flaw", family))


# ------------------------------------------------------------------ the documentation


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_pages_use_titles(kind: Kind) -> None:
    from website.plugins import FOLDERS, pages

    headings = re.findall(r"^\((\w+)-(\w+)\)=\n#+ (.+)$", pages()[FOLDERS[kind]], re.MULTILINE)
    assert {(found, name) for found, name, _ in headings} == {(kind, n) for n in names(kind)}
    for _, name, heading in headings:
        assert heading.replace("\\", "") == title(kind, name)
