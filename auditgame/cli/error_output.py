"""How does the command line say no? One line on standard error, exit code 2."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from auditgame.schema.errors import AuditgameError

Complaint: type[Exception] = typer.BadParameter.__mro__[2]
"""click's ClickException, whichever click typer was built with."""


def one_line(message: object) -> str:
    """The message without line breaks or control characters."""
    words = " ".join(str(message).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def refuse(message: object, code: int = 2) -> NoReturn:
    """End with one line on standard error."""
    typer.echo(f"auditgame: {one_line(message)}", err=True)
    sys.exit(code)


class OneLine(TyperGroup):
    """The command group, with every refusal told in the same way."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Parse and run; bad input ends in `refuse`."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except Complaint as error:
            refuse(getattr(error, "format_message", lambda: error)())
        except AuditgameError as error:
            refuse(error)
        except typer.Abort:
            refuse("stopped", 130)
        sys.exit(code if isinstance(code, int) else 0)
