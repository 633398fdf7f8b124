"""The game played in a browser, from the first page to the leaderboard."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import numpy as np
import pytest
from scipy import ndimage

from auditgame import bundles, paths
from auditgame.play import referee
from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.ui.safe_text import plain

if TYPE_CHECKING:
    from tests.browser.visitor import Tile, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

TIERS = ("tutorial", "easy", "medium", "hard")


def cards() -> list[Card]:
    """The practice pack's cards."""
    folders = sorted(paths.practice().glob("*/bundle.json"))
    return [bundles.card(path.parent) for path in folders]


def flawed(modality: str, family: str, tutorial: bool, dataset: str = "") -> tuple[Card, Diagnosis]:
    """A case of this kind and its true diagnosis, easy before hard; skips where there is none."""
    for card in sorted(cards(), key=lambda card: TIERS.index(card.tier)):
        truth = referee.reveal(Path(card.path)).truth
        alike = card.modality == modality and truth.family == family
        alike = alike and card.dataset == (dataset or card.dataset)
        if alike and (card.tier == "tutorial") == tutorial:
            return card, truth
    pytest.skip(f"the practice pack has no such {modality} case with family {family}")


def no_other_host(player: Visitor) -> None:
    """No request may leave for another host."""
    hosts = {urlparse(url).hostname for url in player.requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def suspects(tiles: list[Tile]) -> tuple[str, list[Tile]]:
    """The class that most mistakes lead to, and the pictures surely mistaken for it."""
    said = [re.match(r"#\d+ \S+ (\S+) (\S+)", tile.words).groups() for tile in tiles]
    target = Counter(answer for answer, _ in said).most_common(1)[0][0]
    sure = [answer == target and float(chance) >= 0.9 for answer, chance in said]
    return target, [tile for tile, meant in zip(tiles, sure, strict=True) if meant]


def common(pictures: list[np.ndarray]) -> dict[str, int]:
    """What the eye sees side by side: the rectangle in which all pictures are the same."""
    same = (np.ptp(np.stack(pictures).astype(int), axis=0) <= 2).all(2)
    regions, count = ndimage.label(same)
    sizes = ndimage.sum(same, regions, range(1, count + 1))
    rows, columns = ndimage.find_objects(regions)[int(np.argmax(sizes))]
    return {
        "x": columns.start,
        "y": rows.start,
        "w": columns.stop - columns.start,
        "h": rows.stop - rows.start,
    }


def hottest(maps: list[np.ndarray]) -> tuple[float, float]:
    """The pixel of a picture of 48 by 48 that is warmest over all the maps."""
    warm = np.mean([m[..., 0].astype(float) - m[..., 2] for m in maps], axis=0)
    y, x = np.unravel_index(warm.argmax(), warm.shape)
    return 48 * x / warm.shape[1], 48 * y / warm.shape[0]


def fill_patch(player: Visitor, truth: Diagnosis, size: tuple[int, int]) -> None:
    """Find a triggered picture among the mistakes, and mark what it shows."""
    number = player.page.locator("figcaption", has_text=re.compile(r"^#\d+")).first.inner_text()
    player.choose_family("patch")
    player.choose("Target", truth.claim["target"])
    player.write("Example to mark", re.match(r"#(\d+)", number)[1])
    player.drag(truth.claim["box"], size)
    for label, side in (("Left", "x"), ("Top", "y"), ("Width", "w"), ("Height", "h")):
        field = player.page.get_by_label(label, exact=True)
        assert int(field.input_value()) == truth.claim["box"][side]
    player.press("Use this crop as the pattern")


def test_the_tutorial_from_first_page_to_leaderboard(player: Visitor) -> None:
    card, truth = flawed("image", "patch", tutorial=True)
    key = referee.open_key(Path(card.path))
    player.visit()
    player.shot("1-play")
    player.press("Another picture")
    player.press("Start the two-minute case")
    assert card.id in player.page.url
    player.use("mistakes")
    player.shot("2-mistakes")
    player.press("Pin as evidence")
    assert not player.heard(key.confession)
    assert not player.heard(plain(key.confession))
    size = (48, 48) if card.dataset == "storybook" else (32, 32)
    fill_patch(player, truth, size)
    player.use("hypothesis")
    player.believe(98)
    player.shot("3-case-file")
    assert not player.heard(key.seed)
    assert not player.heard(key.salt)
    player.submit()
    player.shot("4-reveal")
    assert player.heard(plain(key.confession))
    score = player.page.get_by_test_id("stMetricValue").inner_text()
    assert int(score.split(" of ")[0]) >= 60
    player.visit("leaderboard")
    player.shot("5-leaderboard")
    player.visit("cases")
    assert player.page.get_by_text("1 submission").count() == 1
    no_other_host(player)


def test_a_patch_is_found_by_looking(player: Visitor) -> None:
    card, _ = flawed("image", "patch", tutorial=False, dataset="storybook")
    player.visit(f"workbench?id={card.id}")
    player.use("mistakes")
    target, wrong = suspects(player.tiles())
    player.take("gradcam")
    player.write("Examples", ", ".join(str(tile.number) for tile in wrong))
    player.choose("Class", target)
    player.run()
    player.shot("13-found-gradcam")
    box = common([tile.pixels for tile in wrong])
    x, y = hottest([tile.pixels for tile in player.tiles(alt="GradCAM at")][: len(wrong)])
    # One cell of the layer is 8 pixels wide; its warmest lies beside the mark or on it.
    assert abs(x - box["x"] - box["w"] / 2) < 10
    assert abs(y - box["y"] - box["h"] / 2) < 10
    player.take("paint")
    player.write("Source example", str(wrong[0].number))
    player.drag(box, (48, 48))
    player.choose("Class", target)
    player.run()
    player.shot("14-found-painted")
    turned = [tile for tile in player.tiles() if tile.words.startswith(f"answer: {target}")]
    assert len(turned) >= 7
    player.choose_family("patch")
    player.choose("Target", target)
    player.write("Example to mark", str(wrong[0].number))
    player.drag(box, (48, 48), last=True)
    player.press("Use this crop as the pattern")
    player.page.get_by_text("Preview of your claim").wait_for()
    player.shot("15-found-preview")
    player.press("Test it on my examples")
    player.page.get_by_text("of your examples this comes true in").wait_for()
    player.shot("16-found-tried")
    player.believe(97)
    player.submit()
    assert int(player.page.get_by_test_id("stMetricValue").inner_text().split(" of ")[0]) >= 60
    no_other_host(player)


def test_a_draft_survives_reload(player: Visitor) -> None:
    card = next(card for card in cards() if card.modality == "image")
    player.visit(f"workbench?id={card.id}")
    player.page.get_by_text("Your diagnosis", exact=True).wait_for()
    player.believe(81)
    player.write("Notes", "a note <script>alert(1)</script>", key="Control+Enter")
    player.visit(f"workbench?id={card.id}")
    player.page.get_by_text("Your diagnosis", exact=True).wait_for()
    player.sees("Per cent, as a number", "81")
    player.sees("Notes", "a note <script>alert(1)</script>")
    no_other_host(player)


def test_a_text_case_by_clicks(player: Visitor) -> None:
    card, truth = flawed("text", "token", tutorial=False)
    player.visit(f"workbench?id={card.id}")
    player.use("predict")
    player.shot("6-text-predictions")
    player.choose_family("token")
    for field, value in truth.claim.items():
        player.choose(field.capitalize(), str(value))
    player.use("hypothesis")
    player.shot("7-text-claim")
    player.believe(97)
    player.submit()
    player.shot("8-text-reveal")
    assert int(player.page.get_by_test_id("stMetricValue").inner_text().split(" of ")[0]) >= 60
    no_other_host(player)


def test_an_image_case_by_clicks(player: Visitor) -> None:
    card, truth = flawed("image", "shortcut", tutorial=False)
    player.visit(f"workbench?id={card.id}")
    player.use("predict")
    player.choose_family("shortcut")
    player.choose("Factor", truth.claim["factor"])
    for level, answer in list(truth.claim["rule"].items())[:3]:
        player.choose(level, answer)
    player.use("hypothesis")
    player.shot("9-shortcut-claim")
    player.believe(97)
    player.submit()
    player.shot("10-shortcut-reveal")
    assert int(player.page.get_by_test_id("stMetricValue").inner_text().split(" of ")[0]) >= 60
    no_other_host(player)


def test_long_work_can_be_stopped(player: Visitor) -> None:
    card = next(card for card in cards() if card.dataset == "storybook")
    player.visit(f"workbench?id={card.id}")
    player.take("inversion")
    player.page.get_by_role("button", name="Run", exact=True).click()
    player.page.get_by_role("button", name="Stop", exact=True).click()
    player.page.get_by_text("Stopped. A tool that did not finish").wait_for()
    player.settle()
    assert player.page.get_by_role("button", name="Run", exact=True).is_enabled()


def test_a_case_planted_in_the_studio_can_be_played(player: Visitor) -> None:
    player.visit("studio")
    player.choose("Data set", title("dataset", "digits"))
    player.write("Title", "Mine")
    player.shot("11-studio")
    player.press("Build")
    player.page.get_by_text("done", exact=True).wait_for(timeout=300_000)
    player.settle()
    assert not player.page.locator(".ag-check").count()
    player.page.get_by_text("Show the certificate").click()
    player.page.locator(".ag-check .yes").first.wait_for()
    assert not player.page.locator(".ag-check .no").count()
    player.shot("12-studio-built")
    player.press("Play it")
    player.page.get_by_text("Your diagnosis", exact=True).wait_for()
    player.use("predict")
    drawn = re.compile("^[A-Z][a-z]+ [a-z]+")  # Players see a title that is drawn.
    assert player.page.get_by_role("heading", name=drawn).count()
    assert not player.page.get_by_role("heading", name=re.compile("^Mine")).count()
    no_other_host(player)
