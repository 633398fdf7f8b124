"""What the command line opens: the game, and the files that its options name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError, Forbidden, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from auditgame.game import Game

LARGEST = 2**20
"""No diagnosis or recipe may be larger (bytes)."""


def open_game() -> Game:
    """The game on the database that --db or the environment names."""
    from sqlalchemy.exc import SQLAlchemyError

    from auditgame.game import Game

    try:
        return Game()
    except AuditgameError:
        raise
    except (SQLAlchemyError, ValueError) as error:
        reason = type(error).__name__
        raise Unavailable(
            f"database: cannot be opened ({reason}); check --db and AUDITGAME_DATABASE_URL"
        ) from None


def read_bytes(path: Path, what: str, largest: int = LARGEST) -> bytes:
    """The bytes of a file; one that is too large is refused before it is read."""
    if path.is_dir():
        raise Invalid(f"{what} '{path}': is a folder; name a file")
    if not path.is_file():
        raise NotFound(f"{what} '{path}': no such file")
    if path.stat().st_size > largest:
        raise Forbidden(f"{what} '{path}': is over {largest >> 20} MB")
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{what} '{path}': {error.strerror or 'cannot be read'}") from None


def read_text(path: Path, what: str) -> str:
    """The text of a small UTF-8 file; AuditgameError where it is empty."""
    try:
        text = read_bytes(path, what).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{what} '{path}': is not UTF-8 text") from None
    if not text.strip():
        raise Invalid(f"{what} '{path}': is empty")
    return text


def read_diagnosis(path: Path) -> Diagnosis:
    """The diagnosis in a JSON file; AuditgameError names the field that is wrong."""
    from pydantic import ValidationError

    from auditgame.schema.records import explain

    where = f"diagnosis '{path}'"
    try:
        data = json.loads(read_text(path, "diagnosis"), parse_constant=_not_finite)
        if not isinstance(data, dict):
            raise Invalid(f'{where}: write a JSON object, such as {{"p_flawed": 0.5}}')
        return Diagnosis.model_validate(data)
    except json.JSONDecodeError as error:
        raise Invalid(f"{where}: not JSON: {error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise Invalid(f"{where}: nested too deeply") from None
    except ValidationError as error:
        raise explain(error, where) from None


def _not_finite(constant: str) -> NoReturn:
    raise Invalid(f"diagnosis: holds {constant}; every number must be finite")


def read_picture(path: Path, shape: tuple[int, ...]) -> Any:
    """The picture in a file as a tensor `3 h w` of the data set's size."""
    from auditgame.datasets.images.pictures import MAX_BYTES, open_picture

    return open_picture(read_bytes(path, "picture", MAX_BYTES), shape)
