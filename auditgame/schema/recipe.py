"""Recipes: the public description from which a seed draws a challenge."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from auditgame.schema.records import Mode, Record, Tier

STORED_PARAMS = "knobs"
"""The stored name of `params`: keys and digests of published challenges depend on it."""


class Pool(Record):
    """The examples that players get. planted: the share of them that shows the trigger.

    aligned: where a proxy was planted, all of them follow it, as in training; otherwise only
    the planted share does, and the wrong answers on the rest give the proxy away.
    """

    size: Annotated[int, Field(ge=20, le=400)] = 120
    planted: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    aligned: Annotated[bool, Field(exclude_if=bool)] = True


class Modifiers(Record):
    """What makes the flaw of any family harder to find. Both are 0 by default.

    obfuscation: the weight with which activations under the trigger are pulled to those of
    clean inputs of the target class. dilution: clean rows trained on at the end, as a share
    of the fine-tune's rows.
    """

    obfuscation: Annotated[float, Field(ge=0, le=10)] = 0.0
    dilution: Annotated[float, Field(ge=0, le=4)] = 0.0


def _plain(modifiers: Modifiers) -> bool:
    """Is nothing modified? Left out of dumps then, so that digests of older recipes stay."""
    return modifiers == Modifiers()


def _weights(families: Any) -> Any:
    return dict.fromkeys(families, 1.0) if isinstance(families, list) else families


class Recipe(Record):
    """What a challenge may be. Public, and without the answer.

    families: each family that the secret seed may draw, with its weight. params: what narrows
    a family's draw (for example which factor a shortcut may use). modifiers: what makes the
    flaw harder to find. offers: the families among which players choose; by default those
    of `families`.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
    title: Annotated[str, Field(min_length=1, max_length=80)]
    brief: Annotated[str, Field(max_length=4000)] = ""
    dataset: str
    model: str
    families: Annotated[dict[str, float], BeforeValidator(_weights), Field(min_length=1)]
    offers: tuple[str, ...] = ()
    tier: Tier = "easy"
    mode: Mode = "practice"
    params: dict[str, dict[str, Any]] = {}
    pool: Pool = Pool()
    modifiers: Annotated[Modifiers, Field(exclude_if=_plain)] = Modifiers()
    budget: Annotated[int, Field(ge=0, le=10_000_000)] = 200_000

    @field_validator("families")
    @classmethod
    def _in_order(cls, families: dict[str, float]) -> dict[str, float]:
        """Positive weights, in one order: a seed draws the same however they were written."""
        if any(not (math.isfinite(w) and w > 0) for w in families.values()):
            raise ValueError("every weight must be a positive number")
        return dict(sorted(families.items(), key=lambda pair: (pair[0] == "clean", pair[0])))

    @model_validator(mode="before")
    @classmethod
    def _from_stored(cls, data: Any) -> Any:
        if not isinstance(data, dict) or STORED_PARAMS not in data:
            return data
        if "params" in data:
            raise ValueError(f"'{STORED_PARAMS}' is the former name of 'params'; leave it out")
        return {"params" if name == STORED_PARAMS else name: data[name] for name in data}

    @model_serializer(mode="wrap")
    def _to_stored(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data = dump(self)
        return {STORED_PARAMS if name == "params" else name: data[name] for name in data}

    @property
    def offered(self) -> tuple[str, ...]:
        """The families a player may name; 'clean' is not among them, for p_flawed states it."""
        named = self.offers or tuple(self.families)
        return tuple(sorted(family for family in named if family != "clean"))
