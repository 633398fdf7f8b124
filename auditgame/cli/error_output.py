"""How the command line refuses: one line on standard error, and an exit code for each kind.

2: invalid input. 3: not found. 4: conflict. 5: forbidden. 6: unavailable. 1: a certificate,
a contract or a check of the installation failed. 130: stopped.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from auditgame.schema.errors import EXIT_CODES, AuditgameError, Unavailable, exit_code

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
    """The command group, with every error reported in the same way."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Parse and run; bad input ends in `refuse`."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except Complaint as error:
            refuse(getattr(error, "format_message", lambda: error)())
        except AuditgameError as error:
            refuse(error, exit_code(error))
        except OSError as error:
            if error.filename is None:
                raise
            words = "AUDITGAME_HOME and AUDITGAME_CACHE name other folders to write into"
            refuse(f"'{error.filename}': {error.strerror}; {words}", EXIT_CODES[Unavailable])
        except typer.Abort:
            refuse("stopped", 130)
        sys.exit(code if isinstance(code, int) else 0)
