"""Removing personal data from messages: phone numbers, links and addresses become fixed words."""

from __future__ import annotations

import html
import re

from auditgame.datasets.texts.vocabulary import split

PHONE, LINK, MAIL = "phonenumber", "weblink", "mailaddress"
"""The words that replace what was masked."""
_MAIL = re.compile(r"\w\S*\s?@\s?[a-z][\w-]*(?:\.[a-z]\w*)+")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\w\S*\.(?:com|net|org|co|uk|tv|biz|info|mobi)\b\S*")
_NUMBER = re.compile(r"\+?\(?\d[\d\s().+-]*\d")
_CODE = re.compile(r"\w*\d{5,}\w*")
_FEWEST = 7
"""Digits that make a phone number, however they are spaced."""
_REPEATED = re.compile(r"([^\w\s])(?:\s*\1)+")


def masked(message: str) -> str:
    """The message in lower case, words separate, with numbers, links and addresses replaced.

    A phone number is a run of five digits, or of seven with spaces, dots, dashes and brackets
    between them. Repeated punctuation is kept once.
    """
    plain = html.unescape(message).lower()
    plain = _LINK.sub(f" {LINK} ", _MAIL.sub(f" {MAIL} ", plain))
    plain = _CODE.sub(f" {PHONE} ", _NUMBER.sub(_phone, plain))
    return " ".join(split(_REPEATED.sub(r"\1", plain)))


def _phone(found: re.Match[str]) -> str:
    digits = sum(letter.isdigit() for letter in found[0])
    return f" {PHONE} " if digits >= _FEWEST else found[0]
