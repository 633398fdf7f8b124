"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")
]
Challenge = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a challenge; see 'auditgame list'.")
]
PlayerName = Annotated[
    str,
    typer.Option("--player", metavar="NAME", help="Who plays. A new name is registered."),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write to this folder.")]
Microscope = Annotated[
    bool,
    typer.Option(
        "--microscope/--no-microscope",
        help="Compute the images of all units now, or at the first visit to the microscope.",
    ),
]
