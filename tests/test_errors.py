"""The kinds of errors: each ends a command and a request in its own way."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import auditgame
from auditgame.cli import app, error_output, health
from auditgame.registry import load, suggest
from auditgame.schema.errors import (
    EXIT_CODES,
    HTTP_STATUS,
    AuditgameError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
    exit_code,
    http_status,
)

KINDS = {
    AuditgameError: (2, 400),
    Invalid: (2, 422),
    NotFound: (3, 404),
    Conflict: (4, 409),
    Forbidden: (5, 403),
    Unavailable: (6, 503),
}


class Special(Conflict):
    """A kind of its own, of which the tables know nothing."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_exit_code_and_its_status(kind: type[AuditgameError]):
    assert (exit_code(kind("x")), http_status(kind("x"))) == KINDS[kind]


def test_the_tables_know_every_kind_and_no_two_share_what_tells_them_apart():
    assert EXIT_CODES.keys() == HTTP_STATUS.keys() == KINDS.keys()
    assert set(AuditgameError.__subclasses__()) >= KINDS.keys() - {AuditgameError}
    assert len(set(HTTP_STATUS.values())) == len(KINDS)
    assert len(set(EXIT_CODES.values())) == len(KINDS) - 1


def test_a_special_kind_ends_as_the_one_it_derives_from():
    assert exit_code(Special("x")) == 4 and http_status(Special("x")) == 409


def test_an_unknown_plug_in_is_not_found_and_a_wrong_value_is_invalid():
    with pytest.raises(NotFound, match="unknown tool 'gradcan'; did you mean 'gradcam'"):
        load("tool", "gradcan")
    assert type(suggest("class", "cat", ["dog"])) is Invalid


def test_the_command_line_documents_its_exit_codes():
    words = error_output.__doc__ or ""
    for kind, code in EXIT_CODES.items():
        assert kind is AuditgameError or f"{code}: " in words


def test_the_command_line_ends_with_the_code_of_the_kind(monkeypatch):
    for kind in KINDS:
        monkeypatch.setattr(health, "health_checks", raising(kind("a: is wrong; do b")))
        result = CliRunner().invoke(app, ["doctor"])
        assert result.exit_code == exit_code(kind("x"))
        assert result.stderr == "auditgame: a: is wrong; do b\n"


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def test_every_error_that_is_raised_is_of_a_kind():
    package = Path(auditgame.__file__).parent.parent
    bare = [
        f"{path.relative_to(package)}:{node.lineno}"
        for folder in ("auditgame", "challenges", "benchmarks", "website", "tests")
        for path in sorted((package / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) == "AuditgameError"
    ]
    assert bare == []
