"""What every record has in common: frozen, strict, with one canonical form. No torch."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auditgame.schema.errors import AuditgameError

Modality = Literal["image", "text"]
ToolQuestion = Literal[
    "What does it answer?", "Where does it look?", "What is inside?", "What changes its answer?"
]
"""What a player may ask of a model, in the order in which it is best asked."""
Tier = Literal["tutorial", "easy", "medium", "hard"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Mode = Literal["practice", "ranked"]


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


# ---------------------------------------------------------------- diagnosis


# -------------------------------------------------------------- certificate


# ------------------------------------------------------------------- record
