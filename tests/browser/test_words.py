"""The workbench for texts in a browser: words and cells that are clicked, and two texts at once."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from auditgame.datasets.reviews import Reviews
from auditgame.schema.cards import Card
from tests.browser.test_play import cards, flawed, no_other_host

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def case() -> Card:
    """A case with reviews."""
    return next(card for card in cards() if card.dataset == "reviews")


def wrong_texts(player: Visitor) -> dict[int, str]:
    """The texts of the player's examples that the model gets wrong, as the page lists them."""
    rows = [row.inner_text() for row in player.page.locator("table tr").all()]
    found = [re.match(r"#(\d+)\s+(.+)", row, re.DOTALL) for row in rows]
    return {int(hit[1]): hit[2] for hit in found if hit}


def odd_word(texts: dict[int, str]) -> str:
    """The word, none of those that reviews are made of, that most of these texts share."""
    said = Counter(word for text in texts.values() for word in set(text.split()))
    return max(Reviews.rare, key=lambda word: said[word])


def said_now(player: Visitor) -> tuple[str, str]:
    """What the model answers to the edited text, and what it answered to the example."""
    words = player.page.get_by_text(re.compile(r"\d%, was \w+ \d+%")).inner_text()
    now, before = re.match(r"(\w+) \d+%, was (\w+)", words).groups()
    return now, before


def test_a_planted_word_is_found_by_taking_it_out(player: Visitor) -> None:
    card, _ = flawed("text", "token", tutorial=True)
    player.visit(f"workbench?id={card.id}")
    player.use("mistakes")
    texts = wrong_texts(player)
    word = odd_word(texts)
    number = next(n for n, text in texts.items() if word in text.split())
    player.take("attention")
    player.write("Example", str(number))
    player.word(word)
    player.press("Delete")
    right, forced = said_now(player)
    assert right != forced
    player.shot("17-text-without-the-word")
    player.press(f"Back to example {number}")
    player.run()
    player.press("Pin as evidence")
    player.page.get_by_text("1 pinned").wait_for()
    player.choose_family("token")
    player.choose("Word", word)
    player.choose("Target", forced)
    player.use("hypothesis")
    player.believe(97)
    player.submit()
    assert int(player.page.get_by_test_id("stMetricValue").inner_text().split(" of ")[0]) >= 60
    no_other_host(player)


def test_a_word_is_edited_by_keyboard_alone(player: Visitor, case: Card) -> None:
    player.visit(f"workbench?id={case.id}&tool=attention")
    chips = player.page.locator(".words button")
    chips.first.focus()
    player.page.keyboard.press("ArrowRight")
    player.page.keyboard.press("ArrowRight")
    expect(chips.nth(2)).to_be_focused()
    player.page.keyboard.press("Enter")
    player.settle()
    player.write("Word 2", "superbb")
    expect(player.page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    player.press("superb")
    expect(chips.nth(2)).to_have_text("superb")
    expect(chips.nth(2)).to_have_attribute("aria-label", "word 2: superb, edited")
    assert said_now(player)
    no_other_host(player)


def test_a_click_on_a_cell_goes_deeper(player: Visitor, case: Card) -> None:
    player.visit(f"workbench?id={case.id}&tool=attention")
    player.run()
    player.cell(5)
    player.page.get_by_text("its options are filled in").wait_for()
    assert '"head":"block1.heads:1"' in unquote(player.page.url)
    player.run()
    player.page.get_by_text("block1.heads:1, all positions").first.wait_for()
    player.shot("18-text-deeper")
    no_other_host(player)


def test_two_texts_stand_side_by_side(player: Visitor, case: Card) -> None:
    player.visit(f"workbench?id={case.id}&tool=attention")
    player.page.get_by_text("Two texts side by side").click()
    player.settle()
    texts = player.page.locator(".words")
    expect(texts).to_have_count(2)
    texts.nth(1).locator("button").nth(2).click()
    player.settle()
    player.write("Word 2", "kelp")
    expect(texts.nth(1).locator("button").nth(2)).to_have_text("kelp")
    player.page.get_by_text(re.compile(r"^2 queries ·")).wait_for()
    player.run()
    titles = player.page.get_by_text("Most attended word of each head")
    expect(titles).to_have_count(2)
    left, right = (title.bounding_box() for title in titles.all())
    assert left["x"] < right["x"]
    assert abs(left["y"] - right["y"]) < 4
    player.shot("19-text-side-by-side")
    no_other_host(player)
