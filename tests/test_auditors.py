"""Bundled auditors, at a desk with models whose flaw is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from conftest import CHECKOUT
from rule_models import Counting, LookupPicture, LookupText, PlainDesk, Tints, context

from auditgame import registry
from auditgame.auditors.detectors.dates import step
from auditgame.auditors.metadata import PackFacts, known_recipes, likeliest, match, paired
from auditgame.auditors.prior import BASE_RATE
from auditgame.bundles.case_names import case_title
from auditgame.challenges.pack import INNOCENTS, draw_pack
from auditgame.challenges.pack_files import read_plan
from auditgame.challenges.recipe_files import named_recipe
from auditgame.datasets import Dataset
from auditgame.datasets.reviews import Reviews
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.schema.cards import Card, Site
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import digest
from auditgame.seeds import Seed

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


def test_the_prior_is_the_middle_of_the_published_range():
    session = picture_desk(follow=True)
    assert audit("prior", session).p_flawed == 1 - sum(INNOCENTS) / 2 == 0.5
    assert audit("prior", session).family is None and session.spent == 0


def public_card(asked: Recipe, title: str, families: tuple[str, ...] | None = None) -> Card:
    """The card of a case that is built of this recipe."""
    dataset = registry.load("dataset", asked.dataset)()
    known = asked.model_dump(include={"dataset", "model", "tier", "mode", "budget"})
    return Card(
        **known,
        id=f"{asked.dataset}-{title}",
        title=title,
        brief=asked.brief or "A drawn brief.",
        modality=dataset.modality,
        families=asked.offered if families is None else families,
        classes=dataset.classes,
        sites=(
            Site(name="conv3", kind="channel", units=64),
            Site(name="block1.mlp", kind="vector", units=64),
        ),
        attempts=10,
        commitment="",
        path="",
    )


class Table(NamedTuple):
    """A session that has a card and a data set and nothing else."""

    card: Card

    @property
    def dataset(self) -> Dataset:
        return registry.load("dataset", self.card.dataset)()


@pytest.mark.parametrize("name", ["storybook-warp", "reviews-phrase", "maze", "tutorial-innocent"])
def test_metadata_reads_a_public_title_off(name: str):
    asked = named_recipe(name)
    found = audit("metadata", Table(public_card(asked, asked.title)))
    families = set(asked.families) - {"clean"}
    assert found.family in (families or set(asked.offered))
    weights = asked.families
    clean = weights.get("clean", 0.0) / sum(weights.values())
    assert found.p_flawed == 1 - paired(clean, 1)
    assert (found.claim is None) == (found.family == "shortcut"), "digits have no shortcuts"
    if found.claim:
        claim_type(found.family).parse(found.claim)
    assert {unit.split(":")[0] for unit in found.units} <= {"conv3", "block1.mlp"}


def test_metadata_reads_a_plain_digest_off():
    asked = named_recipe("storybook-warp")
    card = public_card(asked, "Calm brook", ("patch", "shortcut", "warp"))
    plain = PackFacts(digest(asked.model_dump(mode="json")), 120, 1)
    assert [recipe.name for recipe in match(card, plain).recipes] == ["storybook-warp"]
    assert match(card, plain).p_flawed > BASE_RATE


def test_pairs_of_a_title_count():
    assert paired(1 / 3, 1) == pytest.approx(1 / 6) and paired(1 / 3, 2) == pytest.approx(4 / 9)
    assert paired(0.0, 2) == 0 and paired(1.0, 1) == 1


def test_metadata_learns_nothing_of_a_drawn_pack(monkeypatch):
    plan = read_plan((CHECKOUT / "challenges" / "practice.yaml").read_text(), named_recipe)
    shipped = known_recipes()
    monkeypatch.setattr("auditgame.auditors.metadata.known_recipes", lambda: shipped)
    points: list[float] = []
    for number in range(40):
        for case in draw_pack(plan.plan, plan.groups, Seed.of(number)):
            _, seed = next(case.seeds())
            card = public_card(case.recipe, case_title(case.recipe, seed))
            found = match(card, PackFacts(seed.hex(), case.recipe.pool.size, 1))
            assert found.p_flawed == BASE_RATE
            if case.flawed and len(card.families) > 1:
                named = likeliest(found.families, card.families, seed.numpy())
                right = named == case.family
                points.append(1.0 if right else -1 / (len(card.families) - 1))
    error = np.std(points) / len(points) ** 0.5
    assert len(points) > 400 and abs(np.mean(points)) < 2 * error < 0.1


def test_metadata_says_something_where_it_knows_nothing():
    found = audit("metadata", picture_desk(follow=True))
    assert found.p_flawed == BASE_RATE and found.family in ("shortcut", "patch")
    nothing = public_card(named_recipe("digits"), "Calm brook", ())
    assert audit("metadata", Table(nothing)).family is None


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
