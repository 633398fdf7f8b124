"""Commands for whoever runs the game: open it in the browser, see whether all is there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from auditgame.cli import printing
from auditgame.cli.options import Json
from auditgame.schema.errors import AuditgameError


def play(
    context: typer.Context,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=1, max=65535, help="Where to listen.")
    ] = 8501,
) -> None:
    """Open the game in the browser, on this machine only."""
    from auditgame import paths

    front = paths.home() / "streamlit_app.py"
    if not front.is_file():
        raise AuditgameError(f"{front}: is missing; run from a checkout, or set AUDITGAME_HOME")
    environment = dict(os.environ)
    if context.obj:
        environment["AUDITGAME_DATABASE_URL"] = context.obj
    settings = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(front), *flags]
    raise typer.Exit(subprocess.call(command, env=environment))


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Is everything there? Says what is not, and what to do about it."""
    from rich.text import Text

    from auditgame.cli.health import health_checks

    found = health_checks(context.obj)
    essential = [finding for finding in found if finding.state == "missing"]
    if as_json:
        printing.emit([finding._asdict() for finding in found])
    else:
        colours = {"fine": "green", "absent": "yellow", "missing": "bold red"}
        made = printing.table("Doctor", ("", "what", "found", "remedy"))
        for finding in found:
            mark = Text(finding.state, colours[finding.state])
            made.add_row(mark, finding.what, finding.words, finding.remedy)
        printing.paper().print(made)
    raise typer.Exit(1 if essential else 0)
