"""What several commands ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, only that.")]
Challenge = Annotated[
    str, typer.Argument(metavar="ID", help="A challenge, by its id; see 'auditgame list'.")
]
PlayerName = Annotated[
    str,
    typer.Option("--player", metavar="NAME", help="Who plays; entered at first sight."),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write into this folder.")]
