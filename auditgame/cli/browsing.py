"""Commands that show challenges, tools and standings. Only options of tools need torch."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from auditgame.cli import printing
from auditgame.cli.io import open_game
from auditgame.cli.options import Challenge, Json
from auditgame.plugins.descriptions import paragraphs
from auditgame.schema.records import ToolQuestion

if TYPE_CHECKING:
    from auditgame.tools import Tool


def list_challenges(as_json: Json = False) -> None:
    """List the challenges."""
    found = open_game().cards()
    if as_json:
        printing.emit([card.model_dump(mode="json") for card in found])
    else:
        printing.cards(found)


def show(id: Challenge, as_json: Json = False) -> None:
    """Show a challenge: its brief, model, classes, families, sites and budget."""
    found = open_game().card(id)
    if as_json:
        printing.emit(found.model_dump(mode="json"))
    else:
        printing.card(found)


def tools(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[TOOL]", help="The code name of a tool, to show its options."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the tools, or show one tool with its help and options."""
    from auditgame.registry import load, usable

    if as_json:
        chosen = usable("tool") if name is None else [name]
        printing.emit([_described(load("tool", each)) for each in chosen])
    elif name:
        _show_tool(load("tool", name))
    else:
        _list_tools()


def _list_tools() -> None:
    """Every tool, under the question that it helps to answer."""
    from rich.text import Text

    from auditgame.plugins.descriptions import plugin_texts

    found = plugin_texts("tool")
    made = printing.table(f"{len(found)} tools", ("name", "title", "modality", "purpose"))
    made.columns[0].no_wrap = True
    for question in get_args(ToolQuestion):
        made.add_row("", Text(question, "bold"), "", "")
        for tool in (tool for tool in found if tool.asks == question):
            purpose = next(iter(paragraphs(tool.text)), "")
            modality = "any" if len(tool.modality) > 1 else min(tool.modality)
            made.add_row(tool.name, tool.title, modality, purpose)
        made.add_section()
    printing.console().print(made)


def _described(tool: type[Tool]) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "asks": tool.asks,
        "modality": sorted(tool.modality),
        "help": inspect.getdoc(tool),
        "options": tool.Options.model_json_schema(),
    }


def _show_tool(tool: type[Tool]) -> None:
    out = printing.console()
    out.print(f"{tool.title} ({tool.name})", style="bold")
    for paragraph in paragraphs(inspect.getdoc(tool) or ""):
        out.print(f"\n{paragraph}")
    out.print()
    made = printing.table("Options", ("option", "default", "description"))
    for key, field in tool.Options.model_fields.items():
        default = (
            "required" if field.is_required() else json.dumps(field.get_default(), default=str)
        )
        made.add_row(key, default, field.description or field.title or "")
    out.print(made)


def standings(as_json: Json = False) -> None:
    """Show the standings over the practice challenges."""
    from auditgame.ledger.standings import interval_text  # It loads pandas.

    board = open_game().standings()
    if as_json:
        printing.emit(json.loads(board.to_json(orient="records", double_precision=15)))
        return
    columns = ("rank", "player", "bracket", "points", "share", "95 %", "played", "queries")
    made = printing.table("Standings", columns, ("rank", "points", "share", "played", "queries"))
    made.columns[1].no_wrap = True
    for row in board.to_dict("records"):
        made.add_row(
            f"{row['rank']}{'=' if row['tied'] else ''}",
            row["player"],
            row["bracket"],
            f"{row['points']:.1f} / {row['possible']:.0f}",
            f"{row['share']:.0%}",
            interval_text(row["low"], row["high"]),
            str(row["played"]),
            f"{row['queries']:,}",
        )
    printing.console().print(made)
