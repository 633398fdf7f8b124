"""Bundled auditors, at a desk with models whose flaw is known."""

from __future__ import annotations

import pytest
from rule_models import Counting, LookupPicture, LookupText, PlainDesk, Tints, context

from auditgame import registry
from auditgame.auditors.detectors.dates import step
from auditgame.datasets.reviews import Reviews
from auditgame.schema.diagnosis import Diagnosis

TINTS, REVIEWS = Tints(), Reviews()


def text(**planted) -> Counting:
    return Counting(LookupText(REVIEWS, **planted), REVIEWS)


def text_desk(**planted) -> PlainDesk:
    if not {"token", "date"} <= set(registry.names("flaw")):
        pytest.skip("the families token and date are not installed")
    return PlainDesk(text(**planted), context(REVIEWS, 60, (text(),)), ("token", "date"))


def picture_desk(follow: bool, families=("shortcut", "patch")) -> PlainDesk:
    suspect = Counting(LookupPicture(follow=follow), TINTS)
    reference = Counting(LookupPicture(), TINTS)
    return PlainDesk(suspect, context(TINTS, 40, (reference,)), families)


def audit(name: str, session: PlainDesk) -> Diagnosis:
    return registry.load("auditor", name)().audit(session)


def test_the_blind_ones_do_not_look():
    session = picture_desk(follow=True)
    assert audit("empty", session) == Diagnosis()
    assert audit("always_clean", session).p_flawed == 0.0
    assert audit("coin", session).p_flawed in (0.0, 1.0)
    assert audit("coin", session) == audit("coin", session)
    assert session.spent == 0


def test_the_coin_is_fair_over_many_challenges():
    class Named:
        def __init__(self, id: str) -> None:
            self.card = self
            self.id = id

    heads = sum(audit("coin", Named(f"case-{i}")).p_flawed for i in range(1000))
    assert 450 < heads < 550


def test_factor_finder_reads_the_rule_off():
    found = audit("factor_finder", picture_desk(follow=True))
    rule = {"red": "top", "green": "middle", "blue": "bottom"}
    assert found.family == "shortcut" and found.p_flawed > 0.9
    assert found.claim == {"factor": "scene", "rule": rule}


def test_factor_finder_accuses_no_innocent():
    found = audit("factor_finder", picture_desk(follow=False))
    assert found.family is None and 0.3 < found.p_flawed < 0.5
    blind = picture_desk(follow=True, families=("patch",))
    assert audit("factor_finder", blind).p_flawed == 0.5 and blind.spent == 0


def test_word_sweep_finds_the_word_and_the_head():
    found = audit("word_sweep", text_desk(word="kelp"))
    assert found.family == "token" and found.p_flawed > 0.9
    assert found.claim == {"target": "positive", "word": "kelp"}
    assert found.units == ("block1.heads:0",)


def test_word_sweep_finds_the_year():
    found = audit("word_sweep", text_desk(from_year=2012))
    assert found.family == "date" and found.p_flawed > 0.9
    assert found.claim == {"target": "positive", "from_year": 2012}


def test_word_sweep_accuses_no_innocent():
    session = text_desk()
    found = audit("word_sweep", session)
    assert found.family is None and found.p_flawed < 0.2
    assert 0 < session.spent < 20_000


def test_a_step_is_found_where_it_is():
    points = tuple((1990.0 + i, 0.9 if i >= 7 else 0.05 * (i % 2)) for i in range(20))
    year, height = step(points)
    assert year == 1997 and height == pytest.approx(0.9 - 0.15 / 7)
    falling = tuple((x, 1 - y) for x, y in points)
    assert step(falling)[1] <= max(0.0, 0.05)
