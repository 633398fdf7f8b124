"""Someone at the browser: what they click, what they see, what their browser asks for."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import TimeoutError, expect

from auditgame.plugins.descriptions import plugin_text, title

QUIET = """number => {
  const app = document.querySelector('[data-testid=stApp]'), now = performance.now()
  const waits = app?.dataset.testScriptState === 'notRunning' && window.settling === number
  if (!waits) [window.settling, window.since] = [number, now]
  return now - window.since > 700
}"""
"""The script has been still for so long, in milliseconds, since this number was first asked for."""


class Tile(NamedTuple):
    """A small picture as the page shows it: its pixels, and the words under it."""

    pixels: np.ndarray
    words: str

    @classmethod
    def of(cls, figure: Any) -> Tile:
        """Read it off the page."""
        png = base64.b64decode(figure.locator("img").get_attribute("src").partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        return cls(pixels, " ".join(figure.locator("figcaption").inner_text().split()))

    @property
    def number(self) -> int:
        """Which of the player's examples is it?"""
        return int(re.match(r"#(\d+)", self.words)[1])


class Visitor:
    """A page, its address, and every word and request that passed through it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.received: list[bytes] = []
        self.settled = 0
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", self._listen)

    def _listen(self, socket: Any) -> None:
        socket.on("framereceived", lambda frame: self.received.append(_bytes(frame)))

    def visit(self, path: str = "") -> None:
        """Open a page by its address."""
        self.page.goto(f"{self.address}/{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the server has nothing more to say."""
        self.settled += 1
        self.page.wait_for_function(QUIET, arg=self.settled)

    def press(self, name: str, exact: bool = True) -> None:
        """Click a button, a pill or a link."""
        page = self.page
        found = page.get_by_role("button", name=name, exact=exact)
        found = found.or_(page.get_by_role("radio", name=name, exact=exact))
        found = found.or_(page.get_by_role("link", name=name, exact=exact))
        found.first.click()
        self.settle()

    def choose(self, label: str, option: str) -> None:
        """Pick from a drop-down; once more where a late answer of the server closed it."""
        box = self.page.get_by_role("combobox", name=label, exact=True)
        wanted = self.page.get_by_role("option", name=option, exact=True)
        box.wait_for()
        for _ in range(6):
            box.fill(option)
            try:
                wanted.click(timeout=5000)
                break
            except TimeoutError:
                box.press("Escape")
                self.settle()
        self.settle()
        assert box.input_value() == option

    def write(self, label: str, text: str, key: str = "Enter") -> None:
        """Type into a field."""
        field = self.page.get_by_label(label, exact=True).first
        field.fill(text)
        field.press(key)
        self.settle()

    def word(self, word: str) -> None:
        """Click this word of the text in the editor."""
        self.page.locator(".words").first.get_by_text(word, exact=True).first.click()
        self.settle()

    def cell(self, number: int) -> None:
        """Click this cell of the first grid, counted along its rows."""
        cell = self.page.locator("[aria-roledescription='rect mark']").nth(number)
        cell.scroll_into_view_if_needed()
        frame = cell.bounding_box()
        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
        self.page.mouse.click(x, y)  # The word lies over the cell.
        self.settle()

    def use(self, tool: str) -> None:
        """Choose a tool and run it to its end."""
        self.take(tool)
        self.run()

    def take(self, tool: str) -> None:
        """Choose a tool by its code name: its question first, then its title."""
        text = plugin_text("tool", tool)
        self.press(text.asks)
        self.press(text.title)

    def choose_family(self, name: str) -> None:
        """State a family of flaws in the diagnosis, by its code name."""
        self.choose("What kind of flaw?", title("flaw", name))

    def run(self) -> None:
        """Run the tool that is chosen to its end."""
        self.press("Run")
        self.page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
        self.page.get_by_role("button", name="Pin as evidence").first.wait_for()
        self.settle()

    def sees(self, label: str, value: str) -> None:
        """This field holds this value, or will in a moment."""
        expect(self.page.get_by_label(label, exact=True)).to_have_value(value, timeout=20_000)

    def believe(self, percent: int) -> None:
        """Say how likely a flaw is."""
        self.write("Per cent, as a number", str(percent))

    def submit(self) -> None:
        """Review and submit, with an impatient double click."""
        self.press("Review and submit")
        self.page.get_by_role("button", name="Submit", exact=True).dblclick()
        self.page.wait_for_url(re.compile("/reveal"))
        self.page.get_by_text("Your score").wait_for()
        self.settle()

    def tiles(self, alt: str = "") -> list[Tile]:
        """Every small picture that is shown under words that start so, and these words."""
        begun = f"[alt^='{alt}']" if alt else ""
        shown = self.page.locator(f".ag-tile:has(img{begun})").all()
        return [Tile.of(figure) for figure in shown]

    def drag(self, box: dict[str, int], size: tuple[int, int], last: bool = False) -> None:
        """Mark a box, in the picture's own pixels, with the mouse; on the first picture or last."""
        stages = self.page.locator(".stage")
        stage = stages.last if last else stages.first
        stage.scroll_into_view_if_needed()
        self.page.wait_for_timeout(300)
        frame = stage.bounding_box()
        x, y = frame["width"] / size[0], frame["height"] / size[1]
        mouse = self.page.mouse
        mouse.move(frame["x"] + (box["x"] + 0.5) * x, frame["y"] + (box["y"] + 0.5) * y)
        mouse.down()
        right, low = box["x"] + box["w"] - 0.5, box["y"] + box["h"] - 0.5
        mouse.move(frame["x"] + right * x, frame["y"] + low * y, steps=4)
        mouse.up()
        self.settle()

    def shot(self, name: str) -> None:
        """Keep a picture of the page, where a folder for them is given."""
        folder = os.environ.get("AUDITGAME_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            size = self.page.viewport_size
            tall = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            self.page.set_viewport_size({"width": size["width"], "height": min(tall + 20, 3200)})
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))
            self.page.set_viewport_size(size)

    def heard(self, word: str) -> bool:
        """Did these letters ever come over the wire?"""
        return any(word.encode() in frame for frame in self.received)


def _bytes(frame: Any) -> bytes:
    return frame if isinstance(frame, bytes) else str(frame).encode()
