"""Dead links in a built site: files and anchors that are not there, and files of other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "srcset"}
"""Tags whose target a browser fetches by itself."""


class Page(HTMLParser):
    """What one page offers and asks for: anchors, links to follow, files to load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.files: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down one tag."""
        found = dict(attrs)
        self.anchors |= {found[name] or "" for name in ("id", "name") if name in found}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif tag in LOADED and found.get(LOADED[tag]):
            self.files.append(found[LOADED[tag]] or "")


class DeadLink(NamedTuple):
    """A link of a page, and why it leads nowhere."""

    page: str
    link: str
    reason: str


def dead_links(site: Path) -> Iterator[DeadLink]:
    """Every internal link without a target, and every file that would come from another host."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = str(path.relative_to(site))
        for link in page.files:
            if urlsplit(link).netloc:
                yield DeadLink(name, link, "is loaded from another host")
        for link in page.links + page.files:
            reason = _fault(site, path, link, pages)
            if reason:
                yield DeadLink(name, link, reason)


def _fault(site: Path, page: Path, link: str, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site.resolve()) or not target.is_file():
        return "there is no such file"
    if target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "there is no such anchor"
    return None
