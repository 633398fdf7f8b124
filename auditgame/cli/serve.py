"""Commands for hosts: serve the game in the browser, and check the installation."""

from __future__ import annotations

import runpy
import socket
import sys
from typing import Annotated

import typer

from auditgame import paths
from auditgame.cli import printing
from auditgame.cli.io import open_game
from auditgame.cli.options import Json
from auditgame.host import cookie_secret
from auditgame.schema.errors import Unavailable


def play(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on; 0.0.0.0 admits other machines.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=1, max=65535, help="The port to listen on.")
    ] = 8501,
) -> None:
    """Open the game in the browser; by default, on this machine only."""
    from auditgame.cli.health import require_packages

    require_packages()
    require_free(host, port)
    open_game().ledger.close()
    cookie_secret()  # Errors of the database or its secrets are reported here, in one line.
    settings = {
        "server.address": host,
        "server.port": str(port),
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    sys.argv = ["streamlit", "run", str(paths.front_script()), *flags]
    runpy.run_module(
        "streamlit", run_name="__main__", alter_sys=True
    )  # No child process that could outlive this one.


def require_free(host: str, port: int) -> None:
    """Unavailable where nothing can listen at this address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not an address"
        raise Unavailable(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host and --port"
        ) from None


def doctor(as_json: Json = False) -> None:
    """Check the installation, and say how to fix what is missing."""
    from rich.text import Text

    from auditgame.cli.health import health_checks

    found = health_checks()
    essential = [finding for finding in found if finding.state == "missing"]
    if as_json:
        printing.emit([finding._asdict() for finding in found])
    else:
        colours = {"fine": "green", "absent": "yellow", "missing": "bold red"}
        made = printing.table("Installation", ("", "what", "found", "remedy"))
        for finding in found:
            mark = Text(finding.state, colours[finding.state])
            made.add_row(mark, finding.what, finding.words, finding.remedy)
        printing.console().print(made)
    raise typer.Exit(1 if essential else 0)
