"""The form for a claim: one widget per kind of field, and what each gives back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from rule_models import LookupPicture, LookupText, PlainDesk, Tints, context
from streamlit.testing.v1 import AppTest

from auditgame.datasets.reviews import Reviews
from auditgame.evaluation.mechanism import check_units
from auditgame.schema import claims, graders
from auditgame.schema.graders import (
    CHOICE,
    Box,
    ClassName,
    ColourField,
    Conditions,
    Grader,
    Pattern,
    number,
)
from auditgame.schema.records import Record
from auditgame.specimen import Specimen
from auditgame.ui import draft

TINTS, REVIEWS = Tints(), Reviews()


class Aimed(Record):
    """A pattern in a box, for a class."""

    box: Box
    pattern: Pattern
    target: str


class Everything(claims.Claim):
    """A claim with a field of each kind that the form knows."""

    target: ClassName
    turns: Annotated[int, Field(ge=0, le=90, multiple_of=15), number(30)]
    strength: Annotated[float, Field(ge=0, le=1), number(0.5)]
    place: Annotated[Literal["anywhere", "upper_half"], CHOICE]
    colour: ColourField
    conditions: Conditions
    stamps: Annotated[
        tuple[Aimed, ...],
        Field(min_length=1, max_length=2),
        Grader("exact", graders.exact_match, widget="stamps"),
    ]

    def apply(self, examples, dataset): ...

    def check(self, dataset): ...

    def random_alternative(self, dataset, rng): ...

    def near_misses(self, dataset, rng): ...

    def describe(self): ...


STAMPS = [
    {"box": {"x": 1, "y": 2, "w": 3, "h": 3}, "pattern": [["#ff0000"]], "target": "top"},
    {"box": {"x": 9, "y": 9, "w": 2, "h": 2}, "pattern": [["#00ff00"]], "target": "bottom"},
]
SAID = {
    "target": "middle",
    "turns": 45,
    "strength": 0.25,
    "place": "upper_half",
    "colour": "#19d3d3",
    "conditions": {"scene": "red", "side": "left"},
    "stamps": STAMPS,
}


def session() -> PlainDesk:
    return PlainDesk(Specimen(LookupPicture(), TINTS), context(TINTS, 4), ())


def form(said: dict[str, Any]) -> AppTest:
    def script(said: dict) -> None:
        import streamlit as st

        from auditgame.ui.claim.claim_form import ask_claim
        from tests.test_claim_form import Everything, session

        st.session_state["said"] = ask_claim(session(), "everything", Everything, said)

    app = AppTest.from_function(script, kwargs={"said": said}, default_timeout=60).run()
    assert not app.exception
    return app


def said(app: AppTest) -> dict[str, Any]:
    assert not app.exception
    return app.session_state["said"]


def name(field: str, *parts: object) -> str:
    return "/".join(["test-1", "claim", "everything", field, *map(str, parts)])


def test_an_empty_form_says_nothing():
    assert said(form({})) == {
        "target": None,
        "turns": None,
        "strength": None,
        "place": None,
        "colour": None,
        "conditions": {},
        "stamps": [],
    }


def test_a_draft_comes_back_as_it_was():
    found = said(form(SAID))
    assert found == SAID
    assert Everything.parse(found).model_dump(mode="json") == SAID


def test_a_number_keeps_the_bounds_and_the_step_of_its_schema():
    app = form({})
    turns, strength = (app.number_input(key=name(field)) for field in ("turns", "strength"))
    assert (turns.min, turns.max, turns.step) == (0, 90, 15)
    assert (strength.min, strength.max, strength.step) == (0, 1, 0.01)
    turns.set_value(30)
    found = said(app.run())
    assert found["turns"] == 30
    assert isinstance(found["turns"], int)


def test_a_choice_can_be_made_and_unsaid():
    app = form({})
    place = app.selectbox(key=name("place"))
    assert place.options == ["anywhere", "upper half"]
    assert said(place.select("upper_half").run())["place"] == "upper_half"
    assert said(app.selectbox(key=name("place")).set_value(None).run())["place"] is None


def test_a_colour_is_picked_by_its_name():
    app = form({})
    colour = app.pills(key=name("colour"))
    assert [option.split()[-1] for option in colour.options] == sorted(graders.PALETTE)
    assert said(colour.set_value("#ff5fc8").run())["colour"] == "#ff5fc8"


def test_conditions_are_added_and_removed_and_no_factor_stands_twice():
    app = form({})
    app.selectbox(key=name("conditions", "rows", 0, "factor")).select("scene").run()
    assert said(app)["conditions"] == {}
    app.selectbox(key=name("conditions", "rows", 0, "level of scene")).select("blue").run()
    assert said(app)["conditions"] == {"scene": "blue"}
    app.button(key=name("conditions", "add")).click().run()
    second = app.selectbox(key=name("conditions", "rows", 1, "factor"))
    assert second.options == ["side"]
    second.select("side").run()
    app.selectbox(key=name("conditions", "rows", 1, "level of side")).select("left").run()
    assert said(app)["conditions"] == {"scene": "blue", "side": "left"}
    app.selectbox(key=name("conditions", "rows", 0, "factor")).set_value(None).run()
    assert said(app)["conditions"] == {"side": "left"}
    app.button(key=name("conditions", "rows", 1, "remove")).click().run()
    assert said(app)["conditions"] == {}
    app.button(key=name("conditions", "add")).click().run()
    app.button(key=name("conditions", "add")).click().run()
    assert app.button(key=name("conditions", "add")).disabled


def test_stamps_are_worked_on_one_at_a_time():
    app = form({"stamps": STAMPS[:1]})
    app.button(key=name("stamps", "add")).click().run()
    assert said(app)["stamps"] == STAMPS[:1]
    assert app.button(key=name("stamps", "add")).disabled
    for side, value in STAMPS[1]["box"].items():
        app.number_input(key=name("stamps", "rows", 1, "box", side)).set_value(value)
    app.run()
    app.text_area(key=name("stamps", "rows", 1, "pattern", "text")).set_value("#00ff00").run()
    app.selectbox(key=name("stamps", "rows", 1, "target")).select("bottom").run()
    assert said(app)["stamps"] == STAMPS
    app.segmented_control(key=name("stamps", "selected")).set_value(0).run()
    assert said(app)["stamps"] == STAMPS
    assert app.number_input(key=name("stamps", "rows", 0, "box", "x")).value == 1
    app.button(key=name("stamps", "remove")).click().run()
    assert said(app)["stamps"] == STAMPS[1:]
    app.button(key=name("stamps", "remove")).click().run()
    assert said(app)["stamps"] == []


def test_an_empty_stamp_before_another_keeps_its_place():
    assert said(form({"stamps": [{}, STAMPS[1]]}))["stamps"] == [{}, STAMPS[1]]


def test_a_crop_is_taken_for_the_stamp_in_hand():
    app = form({"stamps": STAMPS})
    app.segmented_control(key=name("stamps", "selected")).set_value(1).run()
    app.button(key=name("stamps", "rows", 1, "pattern", "cut")).click().run()
    first, second = said(app)["stamps"]
    assert first == STAMPS[0]
    assert (len(second["pattern"]), len(second["pattern"][0])) == (2, 2)
    picture = session().context.examples.inputs[0, :, 9, 9]
    assert graders.rgb(second["pattern"][0][0]) == tuple((picture * 255).round().int().tolist())


@pytest.mark.parametrize(
    ("field", "value"),
    [("turns", 91), ("turns", "many"), ("colour", "#123456"), ("place", "nowhere")],
)
def test_what_the_form_does_not_offer_is_not_kept(field: str, value: object):
    assert said(form({field: value}))[field] is None


BARE = [{k: v for k, v in stamp.items() if k != "target"} for stamp in STAMPS]


@pytest.mark.parametrize(
    ("family", "claim", "said"),
    [
        ("scatter", {}, "Still missing: target, stamps."),
        ("scatter", {"target": "top", "stamps": BARE}, None),
        (
            "scatter",
            {"target": "top", "stamps": [BARE[0], {"box": BARE[1]["box"]}]},
            "Still missing: pattern of stamp 2.",
        ),
        (
            "scatter",
            {"stamps": [{"pattern": [["#ff0000"]]}]},
            "Still missing: target, box of stamp 1.",
        ),
        ("multi", {"stamps": [STAMPS[0], BARE[1]]}, "Still missing: target of stamp 2."),
        (
            "scatter",
            {"target": "top", "stamps": BARE, "sets": 1},
            "claim: field 'sets': is unknown; leave it out",
        ),
    ],
)
def test_what_is_half_filled_is_named(family, claim, said, monkeypatch):
    here = PlainDesk(Specimen(LookupPicture(), TINTS), context(TINTS, 4), (family,))
    data = {"family": family, "claims": {family: claim}}
    monkeypatch.setattr(draft.st, "session_state", {draft.key(here, "draft"): data})
    assert draft.problem(here) == said


def reader() -> PlainDesk:
    return PlainDesk(Specimen(LookupText(REVIEWS), REVIEWS), context(REVIEWS, 4), ())


def test_a_phrase_is_written_and_a_word_that_no_text_has_is_named():
    def script() -> None:
        import streamlit as st

        from auditgame.flaws.phrase import PhraseClaim
        from auditgame.ui.claim.claim_form import ask_claim
        from tests.test_claim_form import reader

        before = st.session_state.get("said", {})
        st.session_state["said"] = ask_claim(reader(), "phrase", PhraseClaim, before)

    app = AppTest.from_function(script, default_timeout=60).run()
    here = "/".join(["test-1", "claim", "phrase", "phrase"])
    assert said(app) == {"target": None, "phrase": None}
    assert (
        said(app.text_input(key=here).set_value(" Tray  window ").run())["phrase"] == "tray window"
    )
    assert not app.caption
    app.text_input(key=here).set_value("tray windw").run()
    assert "windw" in app.caption[0].value
    assert said(app.text_input(key=here).set_value("").run())["phrase"] is None


def test_the_units_that_are_offered_are_those_that_the_referee_takes():
    def script() -> None:
        import copy

        import streamlit as st

        from auditgame.ui import draft
        from auditgame.ui.workbench import diagnosis_form
        from tests.test_claim_form import reader

        here = reader()
        st.session_state[draft.key(here, "draft")] = copy.deepcopy(draft.EMPTY)
        diagnosis_form._units(here)

    app = AppTest.from_function(script, default_timeout=60).run()
    assert not app.exception
    [field] = app.multiselect
    assert "block1.mlp:0" in field.options
    for unit in field.options:
        check_units(reader().specimen, [unit])
