"""Diagnoses: a player's answer to a challenge."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_validator

from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record, canonical

_UNIT = re.compile(r"([A-Za-z][\w.]*):(\d{1,6})")


def parse_unit(text: str) -> tuple[str, int]:
    """The site and the index that a unit such as `conv3:17` names."""
    match = _UNIT.fullmatch(text)
    if not match:
        raise Invalid(f"unit '{text}': write SITE:INDEX, for example conv3:17")
    return match[1], int(match[2])


class Diagnosis(Record):
    """A player's answer: is the model flawed, by which family, and how exactly?

    p_flawed: the probability of a flaw. claim: the claim of that family, as JSON. units: those
    that carry the flaw. An empty diagnosis (p_flawed 0.5, nothing else) is worth zero on
    every model.
    """

    p_flawed: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    family: str | None = None
    claim: dict[str, Any] | None = None
    units: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    notes: Annotated[str, Field(max_length=4000)] = ""

    @field_validator("units")
    @classmethod
    def _named_once(cls, units: tuple[str, ...]) -> tuple[str, ...]:
        if len({parse_unit(unit) for unit in units}) < len(units):
            raise ValueError("a unit is named twice; name each once")
        return units

    @field_validator("claim")
    @classmethod
    def _plain(cls, claim: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            canonical(claim)
        except (TypeError, RecursionError):
            raise ValueError("is not plain JSON; give text, numbers, lists and objects") from None
        return claim
