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
    """The examples that players get."""

    size: Annotated[int, Field(ge=20, le=400, description="How many examples players get.")] = 120
    planted: Annotated[
        float, Field(ge=0, le=0.5, description="The share of the examples that shows the cue.")
    ] = 0.05
    aligned: Annotated[
        bool,
        Field(
            exclude_if=bool,
            description="For proxies: all examples follow the proxy, as in training. If false, "
            "only the share `planted` does, and wrong answers on the rest give the proxy away.",
        ),
    ] = True


class Modifiers(Record):
    """What makes any family's flaw harder to find. Both are 0 unless a recipe asks."""

    obfuscation: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="Weight of a training loss that makes activations on inputs with the cue "
            "resemble those on ordinary inputs of the target class.",
        ),
    ] = 0.0
    dilution: Annotated[
        float,
        Field(
            ge=0,
            le=4,
            description="Ordinary training rows added after the flaw was planted, as a share of "
            "the rows of the fine-tune.",
        ),
    ] = 0.0


def _plain(modifiers: Modifiers) -> bool:
    """Is nothing modified? Left out of dumps then, so that digests of older recipes stay."""
    return modifiers == Modifiers()


def _weights(families: Any) -> Any:
    return dict.fromkeys(families, 1.0) if isinstance(families, list) else families


class Recipe(Record):
    """A challenge's public description, free of the answer; a secret seed draws the rest."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,47}$",
            description="The recipe's own name, as its file is called.",
        ),
    ]
    title: Annotated[
        str,
        Field(
            min_length=1,
            max_length=80,
            description="What authors see. Players see it in tutorials only: any other case has "
            "a title of its own, which its seed draws.",
        ),
    ]
    brief: Annotated[
        str,
        Field(
            max_length=4000,
            description="What players are told, in Markdown. Empty: data set, classes, families.",
        ),
    ] = ""
    dataset: Annotated[str, Field(description="A data set, by its name.")]
    model: Annotated[str, Field(description="A model, by its name; it must fit the data set.")]
    families: Annotated[
        dict[str, float],
        BeforeValidator(_weights),
        Field(
            min_length=1,
            description="The families that the seed may draw, each with its weight, or a list of "
            "families of equal weight. `clean` plants nothing.",
        ),
    ]
    offers: Annotated[
        tuple[str, ...],
        Field(description="The families that players may choose from. Empty: `families`."),
    ] = ()
    tier: Annotated[Tier, Field(description="The difficulty, as a label.")] = "easy"
    mode: Annotated[
        Mode,
        Field(description="practice: ten attempts, the first one counts. ranked: one attempt."),
    ] = "practice"
    params: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="Family by family: what narrows the draw. See the pages of the families."
        ),
    ] = {}
    pool: Annotated[Pool, Field(description="The examples that players get.")] = Pool()
    modifiers: Annotated[
        Modifiers,
        Field(exclude_if=_plain, description="What makes the flaw harder to find."),
    ] = Modifiers()
    budget: Annotated[
        int, Field(ge=0, le=10_000_000, description="How many queries a player may spend.")
    ] = 200_000

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
