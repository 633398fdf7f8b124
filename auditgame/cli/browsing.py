"""Commands that look around: challenges, tools, standings. All but `tools` leave torch alone."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any, get_args

import typer

from auditgame.cli import printing
from auditgame.cli.io import open_game
from auditgame.cli.options import Challenge, Json
from auditgame.schema.records import ToolQuestion


def list_challenges(as_json: Json = False) -> None:
    """Which challenges are there?"""
    found = open_game().cards()
    if as_json:
        printing.emit([card.model_dump(mode="json") for card in found])
    else:
        printing.cards(found)


def show(id: Challenge, as_json: Json = False) -> None:
    """What does a player see of a challenge before sitting down?"""
    found = open_game().card(id)
    if as_json:
        printing.emit(found.model_dump(mode="json"))
    else:
        printing.card(found)


def tools(
    name: Annotated[
        str | None, typer.Argument(metavar="[TOOL]", help="One tool, with its options.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which tools are there, and what can be chosen for each?"""
    from auditgame.registry import load, names

    found = {each: load("tool", each) for each in (names("tool") if name is None else [name])}
    if as_json:
        printing.emit([_described(tool) for tool in found.values()])
    elif name:
        _show_tool(found[name])
    else:
        _list_tools(list(found.values()))


def _list_tools(found: list[Any]) -> None:
    """What each tool asks, under the question that it helps to answer."""
    from rich.text import Text

    made = printing.table(f"{len(found)} tools", ("tool", "looks at", "question"))
    for question in get_args(ToolQuestion):
        made.add_row("", "", Text(question, "bold"))
        for tool in (tool for tool in found if tool.asks == question):
            asks = " ".join((inspect.getdoc(tool) or "").split("\n\n")[0].split())
            made.add_row(tool.name, ", ".join(sorted(tool.modality)), asks)
        made.add_section()
    printing.paper().print(made)


def _described(tool: Any) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "asks": tool.asks,
        "modality": sorted(tool.modality),
        "help": inspect.getdoc(tool),
        "options": tool.Options.model_json_schema(),
    }


def _show_tool(tool: Any) -> None:
    out = printing.paper()
    out.print(f"{tool.title} ({tool.name})", style="bold")
    for paragraph in (inspect.getdoc(tool) or "").split("\n\n"):
        out.print(f"\n{' '.join(paragraph.split())}")
    out.print()
    made = printing.table("Options", ("option", "default", "description"))
    for key, field in tool.Options.model_fields.items():
        default = (
            "required" if field.is_required() else json.dumps(field.get_default(), default=str)
        )
        made.add_row(key, default, field.description or field.title or "")
    out.print(made)


def standings(as_json: Json = False) -> None:
    """Who stands where over the practice pack?"""
    board = open_game().standings()
    if as_json:
        printing.emit(json.loads(board.to_json(orient="records", double_precision=15)))
        return
    columns = ("rank", "player", "bracket", "points", "share", "95 %", "played", "probes")
    made = printing.table("Standings", columns, ("rank", "points", "share", "played", "probes"))
    made.columns[1].no_wrap = True
    for row in board.to_dict("records"):
        made.add_row(
            f"{row['rank']}{'=' if row['tied'] else ''}",
            row["player"],
            row["bracket"],
            f"{row['points']:.1f} / {row['possible']:.0f}",
            f"{row['share']:.0%}",
            f"{row['low']:.0%} to {row['high']:.0%}",
            str(row["played"]),
            f"{row['probes']:,}",
        )
    printing.paper().print(made)
