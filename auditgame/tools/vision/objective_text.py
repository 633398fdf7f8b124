"""Parser for objectives such as `channel("conv3", 17) - 0.5 * logit("fish")`.

sum = product (("+" | "-") product)*
product = signed ("*" signed)*, with at most one objective
signed = "-" signed | number | unit | call | "(" sum ")"
unit = SITE:INDEX
call = name "(" argument ("," argument)* ")", where an argument is a number, a name or "text"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from auditgame.registry import suggest
from auditgame.schema.diagnosis import parse_unit
from auditgame.schema.errors import Invalid
from auditgame.tools.vision.objectives import (
    ChannelObjective,
    DiversityObjective,
    LayerObjective,
    LogitObjective,
    MeanDifferenceObjective,
    NeuronObjective,
    Objective,
    ProbabilityObjective,
)

DEEPEST = 20
"""Largest nesting depth of brackets and signs."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<unit>[A-Za-z_][\w.]*:\d{1,6})
          |(?P<name>[A-Za-z_][\w.]*)
          |(?P<number>\d{1,9}(?:\.\d{1,9})?)
          |"(?P<text>[^"]{0,64})"
          |(?P<sign>[-+*(),]))""",
    re.VERBOSE,
)


class ObjectiveCall(NamedTuple):
    """A function of the language: its objective, argument types, and least number of arguments."""

    makes: Callable[..., Objective]
    takes: tuple[type | tuple[type, ...], ...]
    least: int
    usage: str


CALLS = {
    "neuron": ObjectiveCall(
        NeuronObjective, (str, int, int, int), 2, "neuron(SITE, UNIT) or (SITE, UNIT, X, Y)"
    ),
    "channel": ObjectiveCall(ChannelObjective, (str, int), 2, "channel(SITE, UNIT)"),
    "layer": ObjectiveCall(LayerObjective, (str,), 1, "layer(SITE)"),
    "direction": ObjectiveCall(
        MeanDifferenceObjective,
        (str, (str, int)),
        2,
        "direction(SITE, CLASS) or (SITE, EXAMPLE)",
    ),
    "logit": ObjectiveCall(LogitObjective, (str,), 1, "logit(CLASS)"),
    "probability": ObjectiveCall(ProbabilityObjective, (str,), 1, "probability(CLASS)"),
    "diversity": ObjectiveCall(DiversityObjective, (str,), 1, "diversity(SITE)"),
}


class ObjectiveToken(NamedTuple):
    """A token: its kind, its text, and where it starts."""

    kind: str
    text: str
    at: int


def parse_objective(text: str, field: str = "objective") -> Objective:
    """The objective of this text, which is parsed and never evaluated as code.

    Raises AuditgameError that names `field`, the position and what was expected there.
    """
    return _Parser(text, field).whole()


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, text: str, field: str) -> None:
        self.text, self.field = text, field
        self.tokens, self.depth = list(self._cut()), 0

    def whole(self) -> Objective:
        """A sum, and nothing after it."""
        start, value = self.tokens[0], self.sum()
        if self.tokens[0].kind != "end":
            self.refuse(self.tokens[0], "expected + or -, or the end")
        return self.objective(value, start)

    def sum(self) -> Objective | float:
        """Products, added and subtracted."""
        start, value = self.tokens[0], self.product()
        while self.tokens[0].text in ("+", "-") and self.tokens[0].kind == "sign":
            sign, right = self.tokens.pop(0).text, self.tokens[0]
            added = self.objective(self.product(), right)
            total = self.objective(value, start)
            value = total + added if sign == "+" else total - added
        return value

    def product(self) -> Objective | float:
        """Numbers and at most one objective, multiplied."""
        value = self.signed()
        while self.tokens[0].text == "*" and self.tokens[0].kind == "sign":
            star, factor = self.tokens.pop(0), self.signed()
            if not isinstance(value, Objective):
                value = factor * value
            elif isinstance(factor, Objective):
                self.refuse(star, "two objectives cannot be multiplied; give one a number")
            else:
                value = value * factor
        return value

    def signed(self) -> Objective | float:
        """A number, a unit, a call, or a sum in brackets; perhaps with a minus."""
        token, self.depth = self.tokens.pop(0), self.depth + 1
        if self.depth > DEEPEST:
            self.refuse(token, f"more than {DEEPEST} brackets or signs inside each other")
        value = self._signed(token)
        self.depth -= 1
        return value

    def _signed(self, token: ObjectiveToken) -> Objective | float:
        if token.kind == "number":
            return float(token.text)
        if token.kind == "unit":
            return NeuronObjective(*parse_unit(token.text))
        if token.kind == "name":
            return self.call(token)
        if token.kind == "sign" and token.text == "-":
            return -self.signed()
        if token.kind == "sign" and token.text == "(":
            value = self.sum()
            self.expect(")")
            return value
        self.refuse(token, 'expected an objective such as conv3:17 or logit("fish")')

    def call(self, name: ObjectiveToken) -> Objective:
        """A function with its arguments."""
        if name.text not in CALLS:
            self.refuse(name, str(suggest("objective", name.text, CALLS)))
        known = CALLS[name.text]
        self.expect("(")
        given = [self.argument()]
        while self.tokens[0].text == "," and self.tokens[0].kind == "sign":
            self.tokens.pop(0)
            given.append(self.argument())
        self.expect(")")
        fits = len(given) in (known.least, len(known.takes)) and all(
            isinstance(value, kind) for value, kind in zip(given, known.takes, strict=False)
        )
        if not fits:
            self.refuse(name, f"write {known.usage}")
        return known.makes(*given)

    def argument(self) -> str | int:
        """A whole number, a name or a text."""
        token = self.tokens.pop(0)
        if token.kind in ("text", "name"):
            return token.text
        if token.kind == "number" and token.text.isdigit():
            return int(token.text)
        self.refuse(token, "expected a name or a whole number")

    def expect(self, sign: str) -> None:
        """Consume this sign, or raise."""
        token = self.tokens.pop(0)
        if token.kind != "sign" or token.text != sign:
            self.refuse(token, f"expected '{sign}'")

    def objective(self, value: Objective | float, start: ObjectiveToken) -> Objective:
        """This value; AuditgameError where it is a number."""
        if not isinstance(value, Objective):
            self.refuse(start, "a number alone is not an objective")
        return value

    def refuse(self, token: ObjectiveToken, words: str) -> NoReturn:
        """Raise AuditgameError: what was found where, and what was expected."""
        found = "the text ends" if token.kind == "end" else f"'{token.text}'"
        raise Invalid(f"{self.field}: character {token.at + 1}: {found}; {words}")

    def _cut(self) -> list[ObjectiveToken]:
        tokens, at, end = [], 0, len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None or found.lastgroup is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                self.refuse(
                    ObjectiveToken("stray", self.text[at], at), "this character is not allowed here"
                )
            kind = found.lastgroup
            tokens.append(ObjectiveToken(kind, found[kind], found.start(kind) - (kind == "text")))
            at = found.end()
        return [*tokens, ObjectiveToken("end", "", end)]
