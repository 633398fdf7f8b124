"""Records: frozen, strict data with one canonical form. No torch."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auditgame.schema.errors import Invalid

Modality = Literal["image", "text"]
ToolQuestion = Literal[
    "What does it answer?", "Where does it look?", "What is inside?", "What changes its answer?"
]
"""The four questions that tools answer, in the order in which they are best asked."""
Tier = Literal["tutorial", "easy", "medium", "hard"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Mode = Literal["practice", "ranked"]


class Record(BaseModel):
    """Frozen data that refuses unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )


def canonical(data: Any) -> bytes:
    """The canonical bytes of a JSON value: sorted keys, no spaces, finite numbers only."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: Any) -> str:
    """The SHA-256, in hex, of a value's canonical bytes, or of bytes as they are."""
    return hashlib.sha256(data if isinstance(data, bytes) else canonical(data)).hexdigest()


_PLAIN_WORDS = {
    "missing": "is missing; add it",
    "extra_forbidden": "is unknown; leave it out",
    "model_type": "must be an object with named fields",
    "dict_type": "must be an object with named fields",
}


def complaint(error: ValidationError) -> tuple[list[str], str]:
    """The first thing that is wrong: the path to it, part by part, and what is wrong."""
    first = error.errors()[0]
    words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return [str(part) for part in first["loc"]], _PLAIN_WORDS.get(first["type"], words)


def explain(error: ValidationError, where: str) -> Invalid:
    """The first complaint as one line: the field of `where`, and what is wrong with it."""
    path, words = complaint(error)
    field = f"field '{'.'.join(path)}': " if path else ""
    return Invalid(f"{where}: {field}{words}")
