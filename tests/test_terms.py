"""Glossary terms in the app: marked where they are met, and harmless in text of unknown origin."""

from __future__ import annotations

import re

import pytest

from auditgame.ui.glossary import terms
from auditgame.ui.terms import (
    EVERYDAY,
    definition,
    explained,
    explained_markdown,
    explained_paragraphs,
)

MARK = re.compile(r'<abbr class="ag-term" tabindex="0" title="([^"]*)">([^<]*)</abbr>')


def marked(html: str) -> list[str]:
    """The words that carry a definition."""
    return [word for _, word in MARK.findall(html)]


def test_every_term_is_marked_unless_it_is_an_everyday_word() -> None:
    assert terms().keys() >= EVERYDAY
    for term in terms():
        assert marked(explained(f"Some {term.lower()}.")) == [term.lower()] * (term not in EVERYDAY)


def test_a_mark_holds_the_definition_as_plain_text() -> None:
    [(title, word)] = MARK.findall(explained("which families?"))
    assert word == "families"
    assert title == definition("Family")
    assert not re.search("[*`]", title)
    assert definition("no such term") is None


def test_only_the_first_mention_and_only_whole_words_are_marked() -> None:
    text = "A trigger, two triggers, a triggerfish, a trigger inversion."
    assert marked(explained(text)) == ["trigger", "trigger inversion"]


def test_html_stays_text() -> None:
    assert "<script>" not in explained("<script>alert('unit')</script>")
    evil = "<script>alert(1)</script> <img src=x onerror=alert(1)> <!-- a --> 1 < 2"
    shown = explained_markdown(evil)
    assert not re.search(r"<[a-z/!?]", shown, re.IGNORECASE)
    assert "1 < 2" in shown


@pytest.mark.parametrize(
    "literal", ["`unit`", "[unit](https://unit.example/unit)", "https://unit.example/unit"]
)
def test_code_links_and_addresses_are_left_alone(literal: str) -> None:
    shown = explained_markdown(f"{literal} and a unit, and a unit")
    assert shown.startswith(f"{literal} and a <abbr")
    assert marked(shown) == ["unit"]


def test_the_heading_of_a_help_paragraph_is_bold_and_terms_are_explained_once() -> None:
    shown = explained_paragraphs(["Which units?", "How it misleads: a unit <may> vary."])
    assert "<b>How it misleads:</b> a unit &lt;may&gt; vary." in shown
    assert marked(shown) == ["units"]
