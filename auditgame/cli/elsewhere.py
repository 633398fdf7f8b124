"""What comes from elsewhere: a network of one's own on the table, and downloads."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from auditgame.cli import printing
from auditgame.cli.opening import read_picture
from auditgame.cli.options import Json
from auditgame.exhibits import Exhibit
from auditgame.types import AuditgameError

if TYPE_CHECKING:
    from auditgame.foreign import Laid

MODEL = "torchvision:NAME, or FILE.py:FUNCTION, which is run and gives a torch module."
WEIGHTS = "A state dict: .safetensors, .pt, .pth or .th; or 'pretrained', torchvision's own."
NORMALISE = "none, half, imagenet, cifar10, or m,m,m/s,s,s; one number each for grey pictures."
IMAGES = "A folder of pictures, or of one folder for each class."

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help=f"A network of yours: {MODEL}")
]
WeightsOption = Annotated[str | None, typer.Option("--weights", metavar="FILE", help=WEIGHTS)]
NormaliseOption = Annotated[str | None, typer.Option("--normalise", metavar="HOW", help=NORMALISE)]
ImagesOption = Annotated[Path | None, typer.Option("--images", metavar="FOLDER", help=IMAGES)]
SizeOption = Annotated[
    int | None,
    typer.Option("--size", metavar="N", min=8, max=1024, help="Show the pictures at N x N pixels."),
]
MostOption = Annotated[
    int,
    typer.Option("--most", metavar="N", min=1, max=20_000, help="Pictures taken of the folder."),
]


class Network(NamedTuple):
    """A network from elsewhere, as it was asked for."""

    model: str | None
    weights: str | None
    normalise: str | None
    images: Path | None
    size: int | None
    most: int


class Answer(NamedTuple):
    """What a tool showed; numbers for programs, and the same in words."""

    exhibits: list[Exhibit]
    numbers: dict[str, Any]
    words: str


def lay_out(network: Network) -> Laid:
    """The network on the table, with its pictures."""
    from auditgame.foreign import lay_out as lay

    if network.model is None or network.images is None:
        raise AuditgameError("use: a network of yours needs both --model and --images FOLDER")
    return lay(
        network.model,
        network.images,
        network.weights,
        network.normalise,
        network.size,
        network.most,
    )


def ask(
    network: Network, tool: str, chosen: dict[str, Any], picture: Path | None, quiet: bool
) -> Answer:
    """Put a tool's question to a network from elsewhere."""
    from auditgame.foreign import use

    laid = lay_out(network)
    upload = read_picture(picture, laid.specimen.dataset.shape) if picture else None
    with printing.progress(quiet) as report:
        exhibits, cost = use(
            laid, tool, lambda share, words: report(tool, share, words), upload, **chosen
        )
    words = " ".join([f"{cost:,} probes.", *laid.notes])
    return Answer(exhibits, {"cost": cost, "notes": list(laid.notes)}, words)


def fetch(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A data set; or torchvision:NAME for its weights."),
    ],
    as_json: Json = False,
) -> None:
    """Download a data set, or the weights that torchvision publishes: needs a network."""
    from auditgame.catalog import load
    from auditgame.foreign.architecture import PREFIX, fetch_published

    with contextlib.redirect_stdout(sys.stderr):
        if name.startswith(PREFIX):
            path = fetch_published(name.removeprefix(PREFIX))
        else:
            path = load("dataset", name)().fetch()
    if as_json:
        printing.emit({"path": str(path)})
    else:
        printing.paper().print(f"Lies in {path}", style="bold", soft_wrap=True)
