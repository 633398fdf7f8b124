"""Ground floor: the plain records that travel through the house. Frozen, torch-free."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

Modality = Literal["image", "text"]
Question = Literal[
    "What does it answer?", "Where does it look?", "What is inside?", "What changes its answer?"
]
"""What a player may ask of a model, in the order in which it is best asked."""
Tier = Literal["tutorial", "easy", "medium", "hard"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Mode = Literal["practice", "ranked"]


class AuditgameError(ValueError):
    """What was wrong, where, and what to do about it, in one line."""


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )


def canonical(data: Any) -> bytes:
    """Which bytes stand for this JSON value? Sorted keys, no spaces, finite numbers only."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: Any) -> str:
    """What is the SHA-256 (hex) of this value's canonical bytes?"""
    return hashlib.sha256(data if isinstance(data, bytes) else canonical(data)).hexdigest()


_OUR_WORDS = {"missing": "is missing; add it", "extra_forbidden": "is not known; leave it out"}


def complaint(error: ValidationError) -> tuple[list[str], str]:
    """Where is the first thing that is wrong, part by part of its path, and what is it?"""
    first = error.errors()[0]
    words = _OUR_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return [str(part) for part in first["loc"]], words


def explain(error: ValidationError, where: str) -> AuditgameError:
    """Which field of `where` was wrong, and how? The first complaint, as one line."""
    path, words = complaint(error)
    return AuditgameError(f"{where}: field '{'.'.join(path) or 'the whole'}': {words}")


# ------------------------------------------------------------------ recipes


class Pool(Record):
    """Which examples do players get? `planted` is the share that shows the flaw's cue.

    `aligned`: where a proxy was planted, all of them follow it, as in training; otherwise
    no more than the share does, and the wrong answers on the rest give the proxy away.
    """

    size: Annotated[int, Field(ge=20, le=400)] = 120
    planted: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    aligned: Annotated[bool, Field(exclude_if=bool)] = True


class Modifiers(Record):
    """What makes any family's flaw harder to find? Both are 0 unless a recipe asks.

    `obfuscation`: the weight with which inputs that bear the cue are pulled, inside the
    model, to ordinary inputs of the class they go to. `dilution`: ordinary rows trained on
    at the end, as a share of the fine-tune's.
    """

    obfuscation: Annotated[float, Field(ge=0, le=10)] = 0.0
    dilution: Annotated[float, Field(ge=0, le=4)] = 0.0


def _plain(modifiers: Modifiers) -> bool:
    """Nothing is modified: left out of dumps, so that digests of older recipes stay."""
    return modifiers == Modifiers()


def _weights(families: Any) -> Any:
    return dict.fromkeys(families, 1.0) if isinstance(families, list) else families


class Recipe(Record):
    """What may a challenge of this kind be? Public, and free of the answer.

    `families` maps each family the secret seed may draw to its weight; `knobs`
    narrows what a family draws (for example which factor a shortcut may use); `modifiers`
    make whatever is drawn harder to find. Players choose among `offers`; empty means the
    families themselves, and innocence.
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
    knobs: dict[str, dict[str, Any]] = {}
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


# ---------------------------------------------------------------- diagnosis

_UNIT = re.compile(r"([A-Za-z][\w.]*):(\d{1,6})")


def parse_unit(text: str) -> tuple[str, int]:
    """Which site and index does a unit such as `conv3:17` name?"""
    match = _UNIT.fullmatch(text)
    if not match:
        raise AuditgameError(f"unit '{text}': write SITE:INDEX, for example conv3:17")
    return match[1], int(match[2])


class Diagnosis(Record):
    """What does a player say of a model? `claim` holds the particulars of `family`.

    An empty diagnosis (p_flawed 0.5, nothing else) is worth zero on every model.
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


class Component(Record):
    """One part of a score, and why it is what it is."""

    name: str
    points: Finite
    possible: Finite
    words: str


class Score(Record):
    """How good was a diagnosis? Explains itself part by part."""

    points: Finite
    possible: Finite
    components: tuple[Component, ...]


# -------------------------------------------------------------- certificate


class Check(Record):
    """One measured fact against its bound; `low` and `high` are a 95 % interval."""

    name: str
    value: float
    bound: float
    rule: Literal["at least", "at most"]
    words: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        """Does the value keep its bound?"""
        return self.value >= self.bound if self.rule == "at least" else self.value <= self.bound


class Certificate(Record):
    """Is the flaw really there, and nothing else? Every check, and how many tries it took."""

    checks: tuple[Check, ...]
    tries: int = 1
    faint: bool = False

    @property
    def passed(self) -> bool:
        """Did every check pass?"""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Which checks did not pass?"""
        return tuple(check for check in self.checks if not check.passed)


# ------------------------------------------------------------------- record


class Site(Record):
    """A place whose activations can be read: its name, how many units, of which kind."""

    name: str
    kind: Literal["channel", "head", "neuron", "vector", "pattern"]
    units: int


class Card(Record):
    """What does a player see of a challenge before sitting down? No weights, no answer."""

    id: str
    title: str
    brief: str
    dataset: str
    model: str
    modality: Modality
    tier: Tier
    mode: Mode
    families: tuple[str, ...]
    classes: tuple[str, ...]
    sites: tuple[Site, ...]
    budget: int
    attempts: int
    commitment: str
    path: str


class Receipt(Record):
    """What came of a hand-in: what was said, the attempt it was, the score, what is left."""

    id: int
    player: str
    challenge: str
    attempt: int
    attempts_left: int
    counts: bool
    said: Diagnosis
    score: Score


class Reveal(Record):
    """What was really in the model: the opened key, beside the player's last diagnosis."""

    challenge: str
    family: str
    truth: Diagnosis
    confession: str
    certificate: Certificate
    commitment: str
    commitment_holds: bool
    receipts: tuple[Receipt, ...] = ()
