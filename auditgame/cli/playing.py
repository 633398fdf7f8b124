"""Commands that play: run a tool, submit, reveal, and let an auditor do all of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditgame.cli import printing
from auditgame.cli.io import open_game, read_diagnosis, read_picture
from auditgame.cli.options import Challenge, Json, Out, PlayerName
from auditgame.cli.own_network import (
    AnswersOption,
    ImagesOption,
    ModelOption,
    MostOption,
    Network,
    NormaliseOption,
    PromptOption,
    SizeOption,
    TextsOption,
    ToolAnswer,
    WeightsOption,
    ask,
)
from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.schema.errors import Invalid
from auditgame.schema.results import Receipt

if TYPE_CHECKING:
    from auditgame.game import Game


def use(
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="The code name of a tool; see 'auditgame tools'.")
    ],
    id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The id of a challenge, unless --model is given."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="K=V", help="An option of the tool; repeatable."),
    ] = None,
    out: Out = None,
    player: PlayerName = "anonymous",
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="A picture to run the tool on.")
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    normalise: NormaliseOption = None,
    images: ImagesOption = None,
    size: SizeOption = None,
    texts: TextsOption = None,
    prompt: PromptOption = None,
    answers: AnswersOption = None,
    most: MostOption = 400,
    as_json: Json = False,
) -> None:
    """Run a tool on the model of a challenge, or on your own network."""
    prompts = tuple(prompt or ())
    network = Network(model, weights, normalise, images, size, texts, prompts, answers, most)
    if id is not None and network.named:
        raise Invalid("use: name a challenge or your own network, not both")
    if id is None and model is None:
        raise Invalid("use: name a challenge, or your own network with --model")
    card = None if id is None else open_game().card(id)
    options = _options(tool, option or [], picture)
    if card is None:
        answer = ask(network, tool, options, picture, as_json)
    else:
        answer = _ask_session(open_game(), card, player, tool, options, picture, as_json)
    _present(answer, out, as_json)


def _options(tool: str, written: list[str], picture: Path | None) -> dict[str, Any]:
    """The options of the tool, checked before any model is loaded."""
    from auditgame.cli.option_parsing import parse_choices
    from auditgame.registry import load
    from auditgame.tools import parse_options

    kind = load("tool", tool)
    chosen = parse_choices(kind, written)
    parse_options(kind, chosen)
    if chosen.pop("picture", "false") not in ("false", False) and picture is None:
        raise Invalid("picture: none is given; add --picture FILE")
    return chosen


def _ask_session(
    game: Game,
    card: Card,
    player: str,
    tool: str,
    options: dict[str, Any],
    picture: Path | None,
    quiet: bool,
) -> ToolAnswer:
    """Run a tool in the player's audit session, which charges for it."""
    from auditgame.bundles import require_plugins
    from auditgame.registry import load

    require_plugins(card)
    upload = read_picture(picture, load("dataset", card.dataset).shape) if picture else None
    with printing.progress(quiet) as report:
        run = game.open(card.id, player).run_tool(
            tool, progress=lambda share, step: report(tool, share, step), picture=upload, **options
        )
    numbers = {"cost": run.cost, "cached": run.cached, "remaining": run.remaining}
    summary = f"{run.cost:,} queries charged, {run.remaining:,} left"
    return ToolAnswer(run.exhibits, numbers, summary)


def _present(answer: ToolAnswer, out: Path | None, as_json: bool) -> None:
    from auditgame.cli import exhibit_output

    written = exhibit_output.write(answer.exhibits, out) if out else []
    if as_json:
        shown = [exhibit.model_dump(mode="json") for exhibit in answer.exhibits]
        files = [str(path) for path in written]
        printing.emit({"exhibits": shown, **answer.numbers, "files": files})
        return
    exhibit_output.show(answer.exhibits)
    console = printing.console()
    if out:
        console.print(f"{len(written)} files written to {out}", style="dim")
    console.print(answer.summary, style="dim")


def submit(
    id: Challenge,
    player: PlayerName,
    diagnosis: Annotated[
        Path, typer.Option("--diagnosis", metavar="FILE", help="The diagnosis, as JSON.")
    ],
    as_json: Json = False,
) -> None:
    """Submit a diagnosis. It is scored against the model itself."""
    game = open_game()
    game.card(id)
    receipt = game.submit(id, player, read_diagnosis(diagnosis))
    if as_json:
        printing.emit(receipt.model_dump(mode="json"))
    else:
        printing.receipt(receipt)


def reveal(
    id: Challenge,
    player: PlayerName,
    as_json: Json = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --json: add the certificate and the receipts.")
    ] = False,
) -> None:
    """Show the true diagnosis to a player who has submitted one.

    With --json it is printed in the form that 'submit' takes.
    """
    game = open_game()
    game.card(id)
    game.ledger.receipts(player, id)
    revealed = game.reveal(id, player)
    if as_json:
        printing.emit((revealed if full else revealed.truth).model_dump(mode="json"))
        return
    console = printing.console()
    console.print(title("flaw", revealed.family), style="bold")
    console.print(revealed.confession)
    units = ", ".join(revealed.truth.units)
    console.print(f"carried by {units}" if units else "no units carry it", style="dim")
    matches = "matches the key" if revealed.commitment_holds else "DOES NOT MATCH THE KEY"
    console.print(f"commitment {revealed.commitment} {matches}", style="dim", soft_wrap=True)
    printing.certificate(revealed.certificate, "Certificate")


def audit(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The id of a challenge.")] = None,
    auditor: Annotated[
        str | None, typer.Option("--auditor", metavar="NAME", help="The code name of an auditor.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every challenge or auditor that is not named."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let bundled auditors play and submit."""
    from auditgame.registry import load, usable

    game = open_game()
    if not every and (id is None or auditor is None):
        raise Invalid("audit: name a challenge and an --auditor, or add --all")
    cards = game.cards() if id is None else [game.card(id)]
    auditors = {
        name: load("auditor", name) for name in ([auditor] if auditor else usable("auditor"))
    }
    pairs = [
        (card.id, name)
        for card in cards
        for name, kind in auditors.items()
        if card.modality in kind.modality or not every
    ]
    receipts = _run(game, pairs, as_json)
    if as_json:
        printing.emit([receipt.model_dump(mode="json") for receipt in receipts])
    else:
        _show_receipts(receipts)


def _run(game: Game, pairs: list[tuple[str, str]], quiet: bool) -> list[Receipt]:
    receipts = []
    with printing.progress(quiet) as report:
        for done, (id, name) in enumerate(pairs):
            report("audit", done / len(pairs), f"{name} on {id}")
            receipts.append(game.audit(id, name))
    return receipts


def _show_receipts(receipts: list[Receipt]) -> None:
    columns: tuple[str, ...] = ("challenge", "auditor", "points", "of", "attempt")
    made = printing.table("Submissions", columns, columns[2:])
    for receipt in receipts:
        score: Any = receipt.score
        points, possible = f"{score.points:.1f}", f"{score.possible:.0f}"
        made.add_row(receipt.challenge, receipt.player, points, possible, str(receipt.attempt))
    printing.console().print(made)
