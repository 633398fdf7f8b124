"""Commands that play: use a tool, hand in, reveal, and let an auditor do all of it."""

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
from auditgame.schema.cards import Card
from auditgame.schema.errors import AuditgameError
from auditgame.schema.results import Receipt

if TYPE_CHECKING:
    from auditgame.game import Game


def use(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="A tool; see 'auditgame tools'.")],
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A challenge, unless there is --model.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="K=V", help="One option of the tool; repeatable."),
    ] = None,
    out: Out = None,
    player: PlayerName = "anonymous",
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="A picture to ask about.")
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
    """Put a tool's question to a challenge's model, or to a network of your own."""
    prompts = tuple(prompt or ())
    network = Network(model, weights, normalise, images, size, texts, prompts, answers, most)
    if id is not None and network.named:
        raise AuditgameError("use: name a challenge, or a network of yours; not both")
    if id is None and model is None:
        raise AuditgameError("use: name a challenge, or a network with --model")
    card = None if id is None else open_game().card(id)
    chosen = _question(tool, option or [], picture)
    if card is None:
        answer = ask(network, tool, chosen, picture, as_json)
    else:
        answer = _at_a_desk(open_game(), card, player, tool, chosen, picture, as_json)
    _present(answer, out, as_json)


def _question(tool: str, written: list[str], picture: Path | None) -> dict[str, Any]:
    """The options as they were chosen, checked before any model is loaded."""
    from auditgame.cli.option_parsing import parse_choices
    from auditgame.registry import load
    from auditgame.tools import parse_options

    kind = load("tool", tool)
    chosen = parse_choices(kind, written)
    parse_options(kind, chosen)
    if chosen.pop("picture", "false") not in ("false", False) and picture is None:
        raise AuditgameError("picture: none was given; add --picture FILE")
    return chosen


def _at_a_desk(
    game: Game,
    card: Card,
    player: str,
    tool: str,
    chosen: dict[str, Any],
    picture: Path | None,
    quiet: bool,
) -> ToolAnswer:
    from auditgame.registry import load

    upload = read_picture(picture, load("dataset", card.dataset).shape) if picture else None
    with printing.progress(quiet) as report:
        told = game.open(card.id, player).run_tool(
            tool, progress=lambda share, words: report(tool, share, words), picture=upload, **chosen
        )
    numbers = {"cost": told.cost, "cached": told.cached, "remaining": told.remaining}
    words = f"{told.cost:,} probes charged, {told.remaining:,} left"
    return ToolAnswer(told.exhibits, numbers, words)


def _present(answer: ToolAnswer, out: Path | None, as_json: bool) -> None:
    from auditgame.cli import exhibit_output

    written = exhibit_output.write(answer.exhibits, out) if out else []
    if as_json:
        shown = [exhibit.model_dump(mode="json") for exhibit in answer.exhibits]
        files = [str(path) for path in written]
        printing.emit({"exhibits": shown, **answer.numbers, "files": files})
        return
    exhibit_output.show(answer.exhibits)
    paper = printing.paper()
    if out:
        paper.print(f"{len(written)} files written to {out}", style="dim")
    paper.print(answer.words, style="dim")


def submit(
    id: Challenge,
    player: PlayerName,
    diagnosis: Annotated[
        Path, typer.Option("--diagnosis", metavar="FILE", help="The diagnosis, as JSON.")
    ],
    as_json: Json = False,
) -> None:
    """Hand in a diagnosis; the referee judges it against the model itself."""
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
        bool, typer.Option("--full", help="With --json: the certificate and receipts as well.")
    ] = False,
) -> None:
    """What was in the model? Open to a player who has handed in.

    With --json it prints the true diagnosis, in the form that 'submit' takes.
    """
    game = open_game()
    game.card(id)
    game.ledger.receipts(player, id)
    told = game.reveal(id, player)
    if as_json:
        printing.emit((told if full else told.truth).model_dump(mode="json"))
        return
    paper = printing.paper()
    paper.print(told.family, style="bold")
    paper.print(told.confession)
    units = ", ".join(told.truth.units)
    paper.print(f"carried by {units}" if units else "no units carry it", style="dim")
    holds = "holds" if told.commitment_holds else "DOES NOT HOLD"
    paper.print(f"commitment {told.commitment} {holds}", style="dim", soft_wrap=True)
    printing.certificate(told.certificate, "Certificate")


def audit(
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A challenge, by its id.")
    ] = None,
    auditor: Annotated[
        str | None, typer.Option("--auditor", metavar="NAME", help="A bundled auditor.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every challenge, every auditor: whichever is not named."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let bundled auditors play and hand in."""
    from auditgame.registry import load, names

    game = open_game()
    if not every and (id is None or auditor is None):
        raise AuditgameError("audit: name a challenge and an --auditor, or add --all")
    cards = game.cards() if id is None else [game.card(id)]
    auditors = {
        name: load("auditor", name) for name in ([auditor] if auditor else names("auditor"))
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
            report("audit", done / len(pairs), f"{name} at {id}")
            receipts.append(game.audit(id, name))
    return receipts


def _show_receipts(receipts: list[Receipt]) -> None:
    columns: tuple[str, ...] = ("challenge", "auditor", "points", "of", "attempt")
    made = printing.table("Hand-ins", columns, columns[2:])
    for receipt in receipts:
        score: Any = receipt.score
        points, possible = f"{score.points:.1f}", f"{score.possible:.0f}"
        made.add_row(receipt.challenge, receipt.player, points, possible, str(receipt.attempt))
    printing.paper().print(made)
