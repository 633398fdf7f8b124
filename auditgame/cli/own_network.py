"""Options and session for a network of one's own, and the command that downloads data."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from auditgame.cli import printing
from auditgame.cli.io import read_picture
from auditgame.cli.options import Json
from auditgame.exhibits import Exhibit
from auditgame.schema.errors import Invalid

if TYPE_CHECKING:
    from auditgame.external import ExternalSession

MODEL = (
    "torchvision:NAME; FILE.py:FUNCTION, which is run and returns a torch module; or hf:FOLDER, "
    "a Hugging Face language model."
)
WEIGHTS = "A state dict: .safetensors, .pt, .pth or .th; or 'pretrained' for torchvision's own."
NORMALISE = "none, half, imagenet, cifar10, or m,m,m/s,s,s; one number each for grey pictures."
IMAGES = "A folder of pictures, or of one folder per class."
TEXTS = "Texts for a language model: one per line, or a CSV file with a column 'text'."

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help=f"Your own network: {MODEL}")
]
WeightsOption = Annotated[str | None, typer.Option("--weights", metavar="FILE", help=WEIGHTS)]
NormaliseOption = Annotated[str | None, typer.Option("--normalise", metavar="HOW", help=NORMALISE)]
ImagesOption = Annotated[Path | None, typer.Option("--images", metavar="FOLDER", help=IMAGES)]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size", metavar="N", min=8, max=1024, help="Resize the pictures to N x N pixels."
    ),
]
MostOption = Annotated[
    int,
    typer.Option(
        "--most", metavar="N", min=1, max=20_000, help="At most this many pictures or texts."
    ),
]
TextsOption = Annotated[Path | None, typer.Option("--texts", metavar="FILE", help=TEXTS)]
PromptOption = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="TEXT", help="A text for a language model; repeatable."),
]
AnswersOption = Annotated[
    str | None,
    typer.Option(
        "--answers",
        metavar="A,B",
        help="Next words to compare. By default, the most probable ones.",
    ),
]


class Network(NamedTuple):
    """The options that describe a network of one's own."""

    model: str | None = None
    weights: str | None = None
    normalise: str | None = None
    images: Path | None = None
    size: int | None = None
    texts: Path | None = None
    prompts: tuple[str, ...] = ()
    answers: str | None = None
    most: int = 400

    @property
    def named(self) -> bool:
        """Was any of them given?"""
        return self != Network(most=self.most)


class ToolAnswer(NamedTuple):
    """What a tool showed: exhibits, and its cost as numbers for programs and as a sentence."""

    exhibits: list[Exhibit]
    numbers: dict[str, Any]
    summary: str


def open_external(network: Network) -> ExternalSession:
    """A session with the network and its pictures or texts."""
    from auditgame import external
    from auditgame.external.model_folder import PREFIX

    model, weights, normalise, images, size, texts, prompts, answers, most = network
    if model is not None and model.startswith(PREFIX):
        if images or weights or normalise or size:
            raise Invalid("use: a language model takes --texts or --prompt, not pictures")
        words = [word.strip() for word in answers.split(",")] if answers else []
        return external.load_language_model(model, texts, prompts, words, most)
    if model is None or images is None or texts or prompts or answers:
        raise Invalid(
            "use: your own network needs both --model and --images FOLDER; "
            f"for a language model, write --model {PREFIX}FOLDER"
        )
    return external.load(model, images, weights, normalise, size, most)


def ask(
    network: Network, tool: str, chosen: dict[str, Any], picture: Path | None, quiet: bool
) -> ToolAnswer:
    """Run a tool on a network of one's own."""
    from auditgame.external import use

    if chosen.get("text") and not network.texts and not network.prompts:
        network = network._replace(prompts=(str(chosen["text"]),))
    session = open_external(network)
    upload = read_picture(picture, session.specimen.dataset.shape) if picture else None
    with printing.progress(quiet) as report:
        exhibits, cost = use(
            session, tool, lambda share, step: report(tool, share, step), upload, **chosen
        )
    summary = " ".join([f"{cost:,} queries.", *session.notes])
    return ToolAnswer(exhibits, {"cost": cost, "notes": list(session.notes)}, summary)


def fetch(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A data set; or torchvision:NAME for its weights."),
    ],
    as_json: Json = False,
) -> None:
    """Download a data set, or weights that torchvision publishes. Needs an internet connection."""
    from auditgame.external.architecture import PREFIX, fetch_published
    from auditgame.registry import load

    with contextlib.redirect_stdout(sys.stderr):
        if name.startswith(PREFIX):
            path = fetch_published(name.removeprefix(PREFIX))
        else:
            path = load("dataset", name)().fetch()
    if as_json:
        printing.emit({"path": str(path)})
    else:
        printing.console().print(f"Saved to {path}", style="bold", soft_wrap=True)
