"""Glossary terms where they are met: underlined with dots, explained on hover and on focus."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from auditgame.ui.glossary import terms
from auditgame.ui.safe_text import safe

EVERYDAY = {"Key", "Seed", "Tool", "Practice", "Ranked", "Evidence", "Challenge", "Clean"}
"""Terms that are also everyday words: explained in the glossary, never marked in a text."""
LONGEST_HEADING = 24
"""A paragraph of help that begins with at most this many letters and a colon has a heading."""
_MARKUP = re.compile(r"[*`]")
_LITERAL = re.compile(r"(```.*?```|`[^`\n]*`|!?\[[^\]]*\]\([^)]*\)|https?://\S+)", re.DOTALL)
"""Code, links and addresses: parts of Markdown in which nothing may be inserted."""
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


@functools.cache
def definition(term: str) -> str | None:
    """What the glossary says of a term, as plain text; None where it does not know it."""
    known = {name.lower(): text for name, text in terms().items()}
    text = known.get(term.lower())
    return None if text is None else _MARKUP.sub("", text)


def explained(text: object) -> str:
    """The text as HTML; the first mention of each glossary term carries its definition."""
    return _marked(safe(text), set())


def explained_paragraphs(paragraphs: Iterable[str]) -> str:
    """Paragraphs of help as HTML: terms explained once, the words before an early colon bold."""
    met: set[str] = set()
    shown = []
    for text in paragraphs:
        head, colon, _ = text.partition(":")
        bold = f"{head}:" if colon and len(head) <= LONGEST_HEADING else ""
        rest = _marked(safe(text.removeprefix(bold)), met)
        shown.append(f'<p class="ag-text">{f"<b>{safe(bold)}</b>" if bold else ""}{rest}</p>')
    return "".join(shown)


def explained_markdown(text: str) -> str:
    """Markdown in which terms carry their definitions, and every other HTML tag is text.

    To be drawn with `unsafe_allow_html=True`.
    """
    met: set[str] = set()
    parts = _LITERAL.split(_TAG.sub("&lt;", text))
    return "".join(part if at % 2 else _marked(part, met) for at, part in enumerate(parts))


def _marked(escaped: str, met: set[str]) -> str:
    """Each term that is not in `met` yet, marked where it first occurs."""

    def mark(found: re.Match[str]) -> str:
        term = _forms()[found[0].lower()]
        if term in met:
            return found[0]
        met.add(term)
        meaning = safe(definition(term))
        return f'<abbr class="ag-term" tabindex="0" title="{meaning}">{found[0]}</abbr>'

    return _pattern().sub(mark, escaped)


@functools.cache
def _forms() -> dict[str, str]:
    """Singular and plural of each term that is marked, in lower case, and the term."""
    forms: dict[str, str] = {}
    for term in terms().keys() - EVERYDAY:
        name = term.lower()
        plural = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
        forms |= {name: term, plural: term}
    return forms


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Any term as a whole word, the longest first."""
    names = sorted(_forms(), key=len, reverse=True)
    return re.compile(rf"(?<![\w&-])(?:{'|'.join(map(re.escape, names))})(?![\w-])", re.IGNORECASE)
