"""The workbench for texts without a browser: words, cells, two texts, and evidence."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from auditgame import paths
from auditgame.exhibits import Curve, FollowUp, Grid, Note, Tokens
from auditgame.game import Game
from auditgame.play.audit_session import AuditSession
from auditgame.registry import load
from auditgame.schema.records import digest
from auditgame.ui.exhibit_views import grids
from auditgame.ui.exhibit_views.exhibit_context import ColourRange, colour_range
from auditgame.ui.exhibit_views.grids import GridLayout
from auditgame.ui.widgets import word_buttons
from auditgame.ui.workbench.drill_down import drill_downs
from auditgame.ui.workbench.text_state import TextState
from tests.conftest import CHECKOUT, PUBLISHED, furnish, settle
from tests.test_app import view

FAR = Grid(
    title="Far",
    rows=("a", "b"),
    columns=("x", "y", "z"),
    values=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
    follow=FollowUp(
        tool="attention",
        options={"example": 3},
        rows=({"head": "block0.heads:1"}, {"head": "block1.heads:2"}),
        columns=({}, {"value_weighted": True}, {}),
    ),
)
WORDS = Tokens(
    title="Words",
    tokens=("one", "two"),
    weights=(0.5, -1.0),
    limit=1.0,
    follow=FollowUp(tool="word_sweep", columns=({"words": "kelp"}, {"words": "quoin"})),
)


@pytest.fixture
def text_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A text case of the practice pack, in a house of its own; its name."""
    settle(monkeypatch, furnish(tmp_path, "reviews", "gpt2"))
    pack = CHECKOUT / "challenges" / "practice"
    folder = sorted(pack.glob("reviews-*"))[0]
    paths.built().mkdir(parents=True)
    shutil.copy(pack / PUBLISHED, paths.built() / PUBLISHED)
    shutil.copytree(folder, paths.built() / folder.name)
    st.cache_resource.clear()
    yield folder.name
    st.cache_resource.clear()


@pytest.fixture
def session(text_case: str) -> AuditSession:
    """The audit session of the visitor of `view`."""
    return Game().open(text_case, Game().guest("someone"))


@pytest.fixture
def text(session: AuditSession, monkeypatch: pytest.MonkeyPatch) -> TextState:
    """The text editor's first text, with a session of its own."""
    monkeypatch.setattr(st, "session_state", {})
    text = TextState(session)
    text.start("", 0)
    return text


def run(app: AppTest, id: str) -> AppTest:
    """Press Run, and wait for the end."""
    app.button(key=f"{id}/run").click().run()
    wait = time.monotonic() + 120
    while not app.session_state[f"{id}/task"].ended and time.monotonic() < wait:
        time.sleep(0.2)
    return app.run()


def pick(app: AppTest, id: str, position: int, slot: str = "first") -> AppTest:
    """Select the word at this position, as a click on its button does."""
    app.session_state[f"{id}/text/{slot}/position"] = position
    return app.run()


# ------------------------------------------------------------------ one text


def test_words_are_edited_in_place(text: TextState) -> None:
    words = text.example
    assert text.words == words
    text.replace(2, "Kelp")
    assert text.words == [*words[:2], "kelp", *words[3:]]
    assert text.changed == {2}
    assert text.related
    text.replace(2, f"{words[2]} quoin")
    assert text.changed == {3}
    text.replace(3, "")
    assert text.text == ""
    assert text.words == words


def test_what_cannot_be_read_is_explained(text: TextState) -> None:
    text.load("the colou was <script>alert(1)</script>", 0)
    assert text.unknown[:2] == ["colou", "<"]
    assert "colour" in text.suggestions("colou")
    assert "unknown word" in text.trouble
    text.load("the " * 65, 0)
    assert "too many" in text.trouble
    text.load("a" * 2001, 0)
    assert "2000 letters" in text.trouble
    text.load("  ", 10**9)
    assert text.trouble is None
    assert text.number == len(text.session.context.examples) - 1


def test_a_word_leads_to_tools_that_take_places_and_words(text: TextState) -> None:
    found = drill_downs(text, 3)
    word = text.words[3]
    assert {"attention", "logit_lens", "word_sweep"} <= {lead.tool for lead in found}
    [sweep] = [lead for lead in found if lead.tool == "word_sweep"]
    assert sweep.options == {"words": word}
    for lead in found:
        fields = load("tool", lead.tool).Options.model_fields
        unsaid = {name for name, field in fields.items() if field.is_required()} - {*lead.options}
        assert unsaid <= {"unit"}, "a form starts with a unit of its own"
        if not unsaid:
            free = lead.tool == "circuits"
            assert (text.session.price(lead.tool, **lead.options) == 0) == free


def test_an_edit_shows_the_answer_at_a_probe_a_text(text_case: str, session: AuditSession) -> None:
    id, left = text_case, session.remaining_budget()
    app = view("workbench", id=id, tool="attention")
    assert session.remaining_budget() == left
    pick(app, id, 2)
    field = app.text_input(key=f"{id}/text/first/word")
    assert field.label == "Word 2"
    field.set_value("kelp").run()
    assert not app.exception
    assert session.remaining_budget() == left - 2
    assert any(", was " in part.value for part in app.markdown)
    assert any("1 word changed" in part.value for part in app.caption)
    app.run()
    assert session.remaining_budget() == left - 2
    app.button(key=f"{id}/text/first/back").click().run()
    assert any("true label" in part.value for part in app.caption)


def test_an_unknown_word_is_corrected_by_a_click(text_case: str) -> None:
    id = text_case
    app = view("workbench", id=id, tool="attention")
    pick(app, id, 2)
    app.text_input(key=f"{id}/text/first/word").set_value("superbb").run()
    assert app.button(key=f"{id}/run").disabled
    assert any("is not in the vocabulary" in part.value for part in app.markdown)
    app.button(key=f"{id}/text/first/suggestion/superbb/superb").click().run()
    assert not app.exception
    assert not app.button(key=f"{id}/run").disabled
    assert "superb" in app.session_state[f"{id}/text/first/text"].split()


def test_markup_stays_text(text_case: str) -> None:
    options = json.dumps({"text": "<script>alert(1)</script> ![x](http://evil.example/x.png)"})
    app = view("workbench", id=text_case, tool="attention", options=options)
    assert not app.exception
    assert not any("<script>" in part.value for part in [*app.html, *app.markdown])
    assert not any("![x]" in part.value for part in app.markdown)
    assert app.button(key=f"{text_case}/run").disabled


def test_a_link_brings_its_text_and_a_crafted_one_harms_nothing(text_case: str) -> None:
    id, text = text_case, "the tray was superb . verdict :"
    app = view("workbench", id=id, tool="predict", options=json.dumps({"text": text}))
    assert not app.exception
    assert app.session_state[f"{id}/text/first/text"] == text
    run(app, id)
    assert any("Predictions" in part.value for part in app.markdown)
    for crafted in ('{"text": 7, "example": "x"}', "[1]", "{", '{"example": -5}'):
        app = view("workbench", id=id, tool="attention", options=crafted)
        assert not app.exception
        assert not app.button(key=f"{id}/run").disabled


# ----------------------------------------------------------------- two texts


def test_two_texts_are_two_uses_of_a_tool(text_case: str, session: AuditSession) -> None:
    id, left = text_case, session.remaining_budget()
    app = view("workbench", id=id, tool="attention")
    app.toggle(key=f"{id}/beside").set_value(True).run()
    pick(app, id, 2, "second")
    app.text_input(key=f"{id}/text/second/word").set_value("kelp").run()
    run(app, id)
    assert not app.exception
    uses = [row for row in session._ledger.journal(session.player, id) if row.tool == "attention"]
    assert [bool(row.options["text"]) for row in uses] == [False, True]
    assert sum(row.cost for row in uses) == 2
    assert session.remaining_budget() == left - 4
    pins = [button for button in app.button if button.label == "Pin as evidence"]
    assert len(pins) == 2 * len(app.session_state[f"{id}/shown/attention"].exhibits)


def test_compared_exhibits_share_a_scale() -> None:
    low = Grid(title="g", rows=("a",), columns=("b",), values=((-3.0,),))
    high = low.model_copy(update={"values": ((2.0,),)})
    assert colour_range([low, high]) == ColourRange(-3.0, 2.0)
    assert colour_range([WORDS, WORDS.model_copy(update={"limit": 4.0})]) == ColourRange(-4.0, 4.0)
    line = Curve(title="c", series={"a": ((0.0, 1.0), (1.0, 5.0))})
    assert colour_range([line]) == ColourRange(1.0, 5.0)
    assert colour_range([Note(title="n", text="t")]) is None


# -------------------------------------------------------------- going deeper


def shown(app: AppTest, id: str, exhibit: Grid | Tokens) -> AppTest:
    """As if the tool on the bench had just shown this."""
    use = SimpleNamespace(exhibits=[exhibit])
    app.session_state[f"{id}/shown/predict"] = use
    return app.run()


def test_a_cell_leads_to_its_tool_by_keyboard(text_case: str) -> None:
    id = text_case
    app = shown(view("workbench", id=id), id, FAR)
    here = f"{id}/exhibit/predict/0"
    app.toggle(key=f"{here}-numbers").set_value(True).run()
    app.selectbox(key=f"{here}-row").select("b")
    app.selectbox(key=f"{here}-column").select("y")
    app.button(key=f"{here}-go").click().run()
    assert not app.exception
    assert app.segmented_control(key=f"{id}/question").value == "Where does it look?"
    assert app.selectbox(key=f"{id}/option/attention/head").value == "block1.heads:2"
    assert app.toggle(key=f"{id}/option/attention/value_weighted").value
    assert app.session_state[f"{id}/text/first/example"] == 3
    assert "block1.heads:2" in str(app.query_params["options"])


def test_what_leads_to_an_unknown_tool_is_drawn_without_a_way(text_case: str) -> None:
    id = text_case
    lost = FAR.model_copy(update={"follow": FollowUp(tool="nowhere")})
    app = shown(view("workbench", id=id), id, lost)
    app.toggle(key=f"{id}/exhibit/predict/0-numbers").set_value(True).run()
    assert not app.exception
    assert not [b for b in app.button if b.label == "Go deeper"]


@pytest.mark.parametrize("cell", [None, [], [{"r": 5, "c": 0}], [{"r": "0", "c": 0}], [{}], "x"])
def test_a_crafted_cell_is_refused(cell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids.st, "session_state", {"k": {"selection": {"cell": cell}}})
    assert grids._picked("k", FAR) is None


@pytest.mark.parametrize(("place", "taken"), [(1, [1]), (2, []), (-1, []), ("0", []), (None, [])])
def test_a_crafted_word_is_refused(
    place: object, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Callable[[], None]] = []

    def component(*_: object, **__: object) -> Callable[..., None]:
        return lambda **given: handlers.append(given["on_picked_change"])

    monkeypatch.setattr(word_buttons.st.components.v2, "component", component)
    monkeypatch.setattr(word_buttons.st, "session_state", {"k": SimpleNamespace(picked=place)})
    seen: list[int] = []
    word_buttons.choose_word(
        [word_buttons.WordButton("a"), word_buttons.WordButton("b")], "k", seen.append, "words"
    )
    handlers[0]()
    assert seen == taken


def test_a_wide_grid_of_words_is_turned_so_that_they_fit() -> None:
    names = tuple(f"{n} word" for n in range(32))
    wide = Grid(
        title="w",
        rows=("one", "two"),
        columns=names,
        values=((0.5,) * 32,) * 2,
        words=(("kelp",) * 32,) * 2,
    )
    assert GridLayout.of(wide).transposed
    assert GridLayout.of(wide).axes == (["one", "two"], list(names))
    assert not GridLayout.of(wide.model_copy(update={"words": None})).transposed
    assert not GridLayout.of(FAR).transposed


# ------------------------------------------------------------------ evidence


def test_pinned_evidence_is_drawn_in_the_case_file(text_case: str, session: AuditSession) -> None:
    tools = ("attention", "logit_lens", "mistakes")
    exhibits = [exhibit for tool in tools for exhibit in session.run_tool(tool).exhibits]
    refs = [{"exhibit": digest(exhibit.model_dump(mode="json"))} for exhibit in exhibits]
    for exhibit, ref in zip(exhibits, refs, strict=True):
        session.pin(exhibit)
        assert session.exhibit(ref) == exhibit
    app = view("workbench", id=text_case)
    for ref in refs:
        app.session_state[f"{text_case}/pinned/{ref['exhibit']}"] = True
    app.run()
    assert not app.exception
    drawn = [part.value.replace("\\", "") for part in app.markdown]
    assert all(f"**{exhibit.title}**" in drawn for exhibit in exhibits)
    app.button(key=f"{text_case}/pinned/{refs[0]['exhibit']}/remove").click().run()
    assert [pin.ref for pin in session.pins()] == refs[1:]
    assert session.exhibit({"exhibit": "0" * 64}) is None


def test_several_units_are_chosen_from_a_list(text_case: str) -> None:
    id = text_case
    app = view("workbench", id=id, tool="ablation")
    assert not app.exception
    app.multiselect(key=f"{id}/option/ablation/units").select("block1.heads:0").run()
    run(app, id)
    assert not app.exception
    assert app.session_state[f"{id}/shown/ablation"].exhibits
