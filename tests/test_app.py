"""The app without a browser: pages, drafts, forms, cookies, and what crafted values meet."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import get_args

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from auditgame.challenges import build_jobs
from auditgame.challenges.recipe_files import read_recipe, write_recipe
from auditgame.exhibits import (
    Curve,
    Gallery,
    Grid,
    HeatMap,
    Note,
    Table,
    Tile,
    Tokens,
)
from auditgame.exhibits.drawing import crop, pattern_png
from auditgame.game import Game
from auditgame.play import referee
from auditgame.plugins.descriptions import plugin_text, plugin_texts
from auditgame.registry import names
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import ToolQuestion
from auditgame.ui.exhibit_views.by_kind import DRAWN
from auditgame.ui.identity import COOKIE, GuestCookie, GuestTokens
from auditgame.ui.navigation import PAGES
from auditgame.ui.safe_text import figure, plain, predictions
from auditgame.ui.server import SCRIPT
from auditgame.ui.widgets import box_picker
from auditgame.ui.widgets.option_fields import TYPES
from tests.conftest import House

SHOWN = [name for name, place in PAGES.items() if place.shown]
EVIL = "<script>alert(1)</script> ![x](http://evil.example/x.png)"


@pytest.fixture
def home(copied: House) -> Iterator[House]:
    """A house of one's own, in which the app lives."""
    st.cache_resource.clear()
    yield copied
    st.cache_resource.clear()


def view(name: str, guest: str = "someone", **query: str) -> AppTest:
    """One page of the app, opened at an address by a guest."""

    def script(name: str, query: dict[str, str]) -> None:
        import importlib

        import streamlit as st

        st.query_params.update(query)
        importlib.import_module(f"auditgame.ui.pages.{name}").page()

    app = AppTest.from_function(script, kwargs={"name": name, "query": query}, default_timeout=120)
    app.session_state["guest_token"] = guest
    return app.run()


@pytest.mark.parametrize("name", SHOWN)
def test_every_page_opens(home: House, name: str) -> None:
    app = view(name)
    assert not app.exception
    assert app.title


def test_the_bar_leads_to_the_first_page(home: House) -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    assert not app.exception
    assert app.title


def test_streamlit_finds_no_pages_folder_beside_the_script() -> None:
    assert not (SCRIPT.parent / "pages").exists()


def test_the_first_page_needs_no_torch(home: House) -> None:
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(SCRIPT)!r}, default_timeout=120).run()\n"
        "assert not app.exception, app.exception\n"
        "assert app.title, 'nothing was drawn'\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_tool_runs_and_shows_what_it_found(home: House) -> None:
    app = view("workbench", id=home.flawed.name)
    assert not app.exception
    id = home.flawed.name
    app.button(key=f"{id}/run").click().run()
    wait = time.monotonic() + 60
    while not app.session_state[f"{id}/task"].ended and time.monotonic() < wait:
        time.sleep(0.2)
    app.run()
    assert not app.exception
    assert any("Pin as evidence" in button.label for button in app.button)


def test_the_examples_lie_on_the_bench_until_a_tool_is_used(home: House) -> None:
    id = home.flawed.name
    app, number = view("workbench", id=id), len(Game().open(id).context.examples)
    title = f"**Your {number} examples**"

    def pictures() -> int:
        return sum(part.value.count("<figure") for part in app.html)

    assert title in [part.value for part in app.markdown]
    for shown in [*range(24, number, 24), number]:
        assert pictures() == shown
        more = [b for b in app.button if b.key == f"{id}/examples shown-more"]
        assert bool(more) == (shown < number)
        if more:
            more[0].click().run()
    app.session_state[f"{id}/shown/predict"] = Game().open(id).run_tool("predict", examples="0-3")
    app.run()
    assert title not in [part.value for part in app.markdown]
    assert pictures() == 4


def test_a_card_shows_the_first_pictures_and_says_where_they_are_damaged(home: House) -> None:
    shown = "".join(part.value for part in view("challenges").html)
    assert shown.count("data:image/png") == 12
    sheet = home.innocent / "examples.png"
    sheet.write_bytes(sheet.read_bytes()[:-9])
    st.cache_data.clear()
    app = view("challenges")
    assert not app.exception
    assert "".join(part.value for part in app.html).count("data:image/png") == 6
    assert any("examples.png was changed" in part.value.replace("\\", "") for part in app.caption)


def test_a_tool_is_found_under_the_question_it_asks(home: House) -> None:
    id = home.flawed.name
    app = view("workbench", id=id, tool="occlusion")
    question, look = app.segmented_control(key=f"{id}/question"), "Where does it look?"
    assert tuple(question.options) == get_args(ToolQuestion)
    assert question.value == look
    assert app.pills(key=f"{id}/tool/{look}").value == "occlusion"
    assert "Occlusion" in [part.value.removeprefix("#### ") for part in app.markdown]
    question.set_value("What does it answer?").run()
    assert app.pills(key=f"{id}/tool/What does it answer?").value == "predict"
    app.segmented_control(key=f"{id}/question").set_value(look).run()
    assert app.pills(key=f"{id}/tool/{look}").value == "occlusion"


def test_every_tool_that_fits_stands_under_one_question(home: House) -> None:
    id = home.flawed.name
    app, titles = view("workbench", id=id), []
    for question in get_args(ToolQuestion):
        app.segmented_control(key=f"{id}/question").set_value(question).run()
        assert not app.exception
        titles += app.pills(key=f"{id}/tool/{question}").options
    session = Game().open(id, Game().guest("someone"))
    assert sorted(titles) == sorted(plugin_text("tool", name).title for name in session.tools())


def test_an_unknown_tool_in_the_address_is_passed_over(home: House) -> None:
    id = home.flawed.name
    app = view("workbench", id=id, tool="../../etc")
    assert not app.exception
    assert app.pills(key=f"{id}/tool/What does it answer?").value == "predict"


def test_a_draft_outlives_the_session(home: House) -> None:
    id = home.flawed.name
    first = view("workbench", id=home.flawed.name)
    first.slider(key=f"{id}/slider").set_value(83).run()
    first.text_area(key=f"{id}/notes").set_value(EVIL).run()
    first.selectbox(key=f"{id}/family").select("patch").run()
    second = view("workbench", id=home.flawed.name)
    assert second.number_input(key=f"{id}/number").value == 83
    assert second.text_area(key=f"{id}/notes").value == EVIL
    assert second.selectbox(key=f"{id}/family").value == "patch"
    stranger = view("workbench", "someone else", id=id)
    assert stranger.number_input(key=f"{id}/number").value == 50


def test_a_claim_is_tried_on_ones_own_examples_before_it_is_submitted(home: House) -> None:
    id, truth = home.flawed.name, referee.reveal(home.flawed).truth
    session = Game().open(id, Game().guest("someone"))
    session.save_draft({"family": "patch", "claims": {"patch": truth.claim}})
    app = view("workbench", id=id)
    assert any("Preview of your claim" in part.value for part in app.markdown)
    shown = "".join(part.value for part in app.html)
    assert f"claimed: {truth.claim['target']}" in shown
    assert "said" not in shown
    before = session.remaining_budget()
    price = next(
        part.value for part in app.caption if "queries" in part.value and "30" in part.value
    )
    app.button(key=f"{id}/test claim").click().run()
    assert not app.exception
    assert f"answer: {truth.claim['target']}" in "".join(part.value for part in app.html)
    assert before - session.remaining_budget() == int(price.split()[0])
    assert any("On 6 of your examples this comes true" in part.value for part in app.markdown)
    assert not [button for button in app.button if button.key == f"{id}/test claim"]


def test_a_claim_that_is_not_complete_is_not_tested(home: House) -> None:
    id, truth = home.flawed.name, referee.reveal(home.flawed).truth
    said = {k: v for k, v in truth.claim.items() if k != "pattern"}
    session = Game().open(id, Game().guest("someone"))
    session.save_draft({"family": "patch", "claims": {"patch": said}})
    app = view("workbench", id=id, tool="hypothesis")
    assert [part.value for part in app.warning] == [plain("Still missing: pattern.")]
    assert not [button for button in app.button if button.key == f"{id}/run"]
    app = view("workbench", id=id, tool="ablation")
    assert any("runs without it" in part.value for part in app.caption)
    assert said.items() <= session.draft()["claims"]["patch"].items()


def test_options_are_asked_for_where_they_matter(home: House) -> None:
    app = view("workbench", id=home.flawed.name, tool="paint")
    assert not app.exception

    def labels() -> set[str]:
        return {field.label for field in [*app.number_input, *app.selectbox, *app.toggle]}

    here = f"{home.flawed.name}/option/paint"
    assert {"Source example", "Shift right", "Left", "From my image"} <= labels()
    assert "Rotate hue by" not in labels()
    app.selectbox(key=f"{here}/action").select("recolour").run()
    assert {"Rotate hue by", "Left"} <= labels()
    assert not {"Shift right", "From my image"} & labels()
    app.selectbox(key=f"{here}/action").select("factor").run()
    assert not {"Source example", "Left"} & labels()


def test_a_picture_that_cannot_be_read_is_told_and_nothing_is_lost(home: House) -> None:
    id = home.flawed.name
    app = view("workbench", id=id)
    app.text_area(key=f"{id}/notes").set_value("mine").run()
    app.toggle(key=f"{id}/option/predict/picture").set_value(True).run()
    bomb = io.BytesIO()
    Image.new("1", (10_000, 5_001)).save(bomb, "PNG")
    for data, words in ((b"\x89PNG", "cannot be read"), (bomb.getvalue(), "over 50 megapixels")):
        app.file_uploader[0].set_value(("a.png", data, "image/png")).run()
        assert not app.exception
        assert [words in part.value for part in app.error] == [True]
        assert app.text_area(key=f"{id}/notes").value == "mine"
    app.file_uploader[0].set_value(("a.png", PNG, "image/png")).run()
    assert not app.error
    assert any("as the model sees it" in part.value for part in app.html)


@pytest.mark.parametrize("name", ["workbench", "reveal"])
def test_an_unknown_challenge_is_said_so(home: House, name: str) -> None:
    app = view(name, id="../../etc")
    assert not app.exception
    assert "unknown challenge" in app.warning[0].value


def test_no_reveal_before_a_submission(home: House) -> None:
    app = view("reveal", id=home.flawed.name)
    assert "diagnosis first" in app.warning[0].value
    assert not app.metric


def test_the_reveal_tells_everything(home: House) -> None:
    truth = referee.reveal(home.flawed).truth
    game = Game()
    game.submit(home.flawed.name, game.guest("someone"), truth)
    app = view("reveal", id=home.flawed.name)
    assert not app.exception
    assert app.metric[0].value.endswith("of 100")
    assert any("True diagnosis" in part.value for part in app.markdown)
    assert "diagnosis first" in view("reveal", "another", id=home.flawed.name).warning[0].value


# ------------------------------------------------------------------ exhibits

PNG = pattern_png([["#ff0000", "#00ff00"], ["#0000ff", "#ffffff"]])
EXHIBITS = [
    Gallery(title=EVIL, tiles=(Tile(png=PNG, label=EVIL, note=EVIL, tone="bad"),), note=EVIL),
    HeatMap(title=EVIL, png=PNG, values=((1.0, -1.0), (0.0, 0.5)), limit=1.0),
    Tokens(title=EVIL, tokens=(EVIL, "b"), weights=(1.0, -0.2), limit=1.0),
    Grid(
        title=EVIL,
        rows=("a", "a"),
        columns=("b", EVIL),
        values=((1.0, 2.0), (-1.0, 0.0)),
        words=(("w", EVIL), ("x", "y")),
    ),
    Table(title=EVIL, columns=("a", EVIL), rows=((EVIL, 1), (None, 2.5))),
    Curve(title=EVIL, series={EVIL: ((0.0, 1.0), (1.0, 2.0))}, x_axis="x"),
    Note(title=EVIL, text=EVIL),
]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.kind)
def test_every_kind_of_exhibit_is_drawn_and_escaped(exhibit: object) -> None:
    def script(data: str) -> None:
        from pydantic import TypeAdapter

        from auditgame.exhibits import Exhibit
        from auditgame.ui.exhibit_views.by_kind import draw

        draw(TypeAdapter(Exhibit).validate_json(data), "key")

    data = exhibit.model_dump_json()
    app = AppTest.from_function(script, kwargs={"data": data}, default_timeout=60).run()
    assert not app.exception
    assert app.markdown
    assert not any("<script>alert" in part.value for part in [*app.html, *app.markdown])
    assert not any("![x]" in part.value for part in [*app.markdown, *app.caption])
    for toggle in app.toggle:
        toggle.set_value(True)
    assert not app.run().exception


def test_every_kind_has_a_drawing() -> None:
    assert set(DRAWN) == {exhibit.kind for exhibit in EXHIBITS}
    assert set(TYPES) == {"string", "integer", "number", "boolean"}


def test_words_from_elsewhere_are_harmless() -> None:
    assert "<script>" not in figure(PNG, EVIL, EVIL, "plain", '"><script>')
    assert "<script>" not in predictions([(EVIL, 0.5)], None)
    assert "![" not in plain(EVIL)


# ------------------------------------------------------------------ crafted values


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "box",
        {},
        {"x": 0, "y": 0, "w": 0, "h": 3},
        {"x": -1, "y": 0, "w": 2, "h": 2},
        {"x": 30, "y": 0, "w": 9, "h": 2},
        {"x": "a", "y": 0, "w": 2, "h": 2},
        {"x": 10**9, "y": 0, "w": 1, "h": 1},
    ],
)
def test_a_crafted_box_is_refused(raw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_picker.st, "session_state", {"k": SimpleNamespace(box=raw)})
    assert box_picker.dragged("k", (32, 32)) is None


def test_a_box_in_the_picture_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    box = {"x": 28, "y": 0, "w": 4, "h": 32}
    monkeypatch.setattr(box_picker.st, "session_state", {"k": SimpleNamespace(box=box)})
    assert box_picker.dragged("k", (32, 32)) == box


def test_a_crop_holds_the_colours_it_covers() -> None:
    assert crop(pattern_png([["#ff0000", "#00ff00"]]), 0, 0, 2, 1) == [["#ff0000", "#ff0000"]]


# ------------------------------------------------------------------ guests


def test_only_cookies_signed_here_are_believed() -> None:
    book = GuestTokens(b"a secret")
    cookie = book.issue()
    assert book.read(cookie)
    assert book.issue() != cookie
    assert book.read(cookie[:-2] + "xx") is None
    assert GuestTokens(b"another secret").read(cookie) is None
    assert book.read(None) is None


def answered(book: GuestTokens, cookie: str | None, accept: str = "text/html") -> dict[str, str]:
    """The head of what the middleware answers to a visit."""
    heads: dict[str, str] = {}

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict) -> None:
        heads.update({key.decode(): value.decode() for key, value in message["headers"]})

    headers = [(b"accept", accept.encode())]
    if cookie:
        headers.append((b"cookie", f"{COOKIE}={cookie}".encode()))
    scope = {"type": "http", "method": "GET", "scheme": "http", "headers": headers}
    with ThreadPoolExecutor(1) as own_loop:  # the browser's driver keeps a loop on this thread
        own_loop.submit(asyncio.run, GuestCookie(app, book)(scope, None, send)).result()
    return heads


def test_a_page_gives_a_cookie_once() -> None:
    book = GuestTokens(b"secret")
    first = answered(book, None)
    assert "HttpOnly" in first["set-cookie"]
    assert "SameSite=Lax" in first["set-cookie"]
    cookie = first["set-cookie"].split(";")[0].partition("=")[2]
    assert "set-cookie" not in answered(book, cookie)
    assert "set-cookie" in answered(book, "forged")
    assert "set-cookie" not in answered(book, None, accept="image/png")
    assert answered(book, cookie)["x-content-type-options"] == "nosniff"


# ------------------------------------------------------------------ guide, recipes, builds


@pytest.mark.parametrize("kind", ["flaw", "tool", "dataset", "model"])
def test_the_guide_has_words_for_everything(kind: str) -> None:
    found = {plugin_text.name: plugin_text for plugin_text in plugin_texts(kind)}
    assert set(found) == set(names(kind))
    assert all(plugin_text.title and len(plugin_text.text) > 40 for plugin_text in found.values())


def test_the_guide_puts_each_tool_under_its_question() -> None:
    assert {plugin_text.asks for plugin_text in plugin_texts("tool")} == set(get_args(ToolQuestion))
    app = view("guide")
    app.segmented_control(key="chapter").set_value("Tools").run()
    assert [part.value for part in app.subheader] == list(get_args(ToolQuestion))


RECIPE = """\
name: mine
title: Mine
dataset: digits
model: small_cnn
families: [patch]
pool:
  size: 50
"""


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("size: 50", "size: 5", r"line 7: field 'pool\.size'"),
        ("dataset: digits", "dataset: digts", "line 3: field 'dataset': .*did you mean 'digits'"),
        ("[patch]", "[pach]", "line 5: field 'families': .*did you mean 'patch'"),
        ("title: Mine", "titel: Mine", "line 1: field 'title'"),
        ("families: [patch]", "families: [patch", "line 6"),
        (RECIPE, "just words", "line 1"),
    ],
)
def test_a_wrong_recipe_is_told_where(old: str, new: str, where: str) -> None:
    with pytest.raises(AuditgameError, match=where):
        read_recipe(RECIPE.replace(old, new))


def test_a_recipe_survives_being_written() -> None:
    recipe = read_recipe(RECIPE)
    assert read_recipe(write_recipe(recipe)) == recipe


def test_a_build_that_cannot_be_made_says_so(home: House) -> None:
    job = build_jobs.start(read_recipe(RECIPE.replace("digits", "reviews")))
    assert job.state == "running"
    end = time.monotonic() + 500
    while job.state == "running" and time.monotonic() < end:
        time.sleep(0.5)
        job = build_jobs.job(job.id)
    assert job.state == "failed"
    assert job.words
    build_jobs.forget(job.id)
    assert job.id not in [other.id for other in build_jobs.jobs()]


def test_a_silent_build_counts_as_dead(home: House) -> None:
    here = build_jobs.folder() / "20260101-000000-abcdef"
    here.mkdir(parents=True)
    (here / "recipe.json").write_text(read_recipe(RECIPE).model_dump_json())
    (here / "alive").touch()
    line = json.dumps({"stage": "train", "share": 0.5, "words": "half way"})
    (here / "progress.jsonl").write_text(line + "\n" + '{"stage": "tr')
    assert build_jobs.job(here.name).state == "running"
    assert build_jobs.job(here.name).share == 0.5
    os.utime(here / "alive", (0, 0))
    assert build_jobs.job(here.name).state == "died"
    with pytest.raises(AuditgameError, match="not found; see the list of builds"):
        build_jobs.job("../../etc")


def test_a_challenge_whose_plugin_is_missing_says_which(home: House) -> None:
    path = home.flawed / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "beams"}))
    app = view("workbench", id=home.flawed.name)
    assert not app.exception and not app.error
    (warning,) = app.warning
    assert "needs the data set plug-in 'beams', which is not installed" in warning.value
    assert not view("challenges").exception
