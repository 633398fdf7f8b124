"""The microscope in a browser: from the workbench to a unit, its neighbours, and the quiz."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from auditgame import paths
from auditgame.game import Game
from auditgame.schema.cards import Card
from auditgame.tools.vision import unit_images

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def case(home: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """An image case; where its bundle has no pictures, rough ones lie in the server's cache."""
    game = Game(packs=[paths.practice()], database=f"sqlite:///{home / 'painter.sqlite3'}")
    card = next(card for card in game.cards() if card.modality == "image")
    monkeypatch.setenv("AUDITGAME_CACHE", str(home / "cache"))
    session = game.open(card.id, "painter")
    cache = session.microscope.image_cache
    if cache.read() is None:
        with monkeypatch.context() as hasty:
            hasty.setattr(unit_images, "STEPS", 1)
            painted = unit_images.visualise(session.specimen, session.context.examples.inputs)
        unit_images._keep(cache._kept(), unit_images.pack(painted))
    return card


def test_from_the_workbench_to_a_unit_and_its_neighbour(player: Visitor, case: Card) -> None:
    page = player.page
    player.visit(f"workbench?id={case.id}")
    left = page.get_by_text(re.compile("queries · .* left")).first.inner_text().split("·")[1]
    player.press("Open the microscope", exact=False)
    player.press("conv3")
    expect(page.locator(".tiles a")).to_have_count(64)
    player.press("Weight on a class")
    player.shot("microscope-1-layer")
    first = page.locator(".tiles a span").first.inner_text()
    page.locator(".tiles a").first.click()
    player.settle()
    expect(page.get_by_role("heading", name=first)).to_be_visible()
    assert f"site=conv3&unit={first.split(':')[1]}" in page.url
    player.shot("microscope-2-unit")
    neighbour = page.locator(".tiles a", has_text=re.compile(r"^conv2:\d+")).first
    name = neighbour.locator("span").inner_text()
    assert f"unit={name.split(':')[1]}" in neighbour.get_attribute("href")
    neighbour.click()
    player.settle()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    player.visit(page.url.removeprefix(f"{player.address}/"))
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    player.press("Add to my diagnosis")
    expect(page.get_by_role("button", name="In your diagnosis")).to_be_visible()
    player.visit(f"workbench?id={case.id}")
    assert left in page.get_by_text(re.compile("queries · .* left")).first.inner_text()
    expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_without_a_unit_the_pool_is_told_again(player: Visitor, case: Card) -> None:
    player.visit(f"microscope?id={case.id}&site=conv4&unit=2")
    player.page.get_by_text(re.compile("Set conv4:2 to its mean")).click()
    player.settle()
    expect(player.page.get_by_text("The pool without conv4:2")).to_be_visible()


def test_the_quiz_says_what_was_right(player: Visitor, case: Card) -> None:
    player.visit(f"microscope?id={case.id}&site=conv3")
    player.page.get_by_text("Quiz: which examples").click()
    player.settle()
    player.press("These: A")
    verdict = player.page.get_by_text(re.compile("The image belongs to conv3:"))
    expect(verdict).to_be_visible()
    player.shot("microscope-3-quiz")
    player.press("Next question")
    expect(verdict).to_have_count(0)
