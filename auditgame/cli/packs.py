"""The command for packs: draw them from a plan, and build them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditgame.cli import printing
from auditgame.cli.io import read_text
from auditgame.cli.options import Json, Microscope, Out
from auditgame.plugins.descriptions import title
from auditgame.schema.errors import AuditgameError, Invalid

if TYPE_CHECKING:
    from auditgame.challenges.pack_files import ReadyPlan
    from auditgame.schema.recipe import Recipe


def pack(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A YAML file: the plan of a pack.")],
    out: Out = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Show what players would see of each group; build nothing."),
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="Processes, of one thread each.")
    ] = 1,
    published: Annotated[
        bool,
        typer.Option(
            "--publish-key",
            help="Write a private key into the folder, which opens every answer: for practice.",
        ),
    ] = False,
    microscope: Microscope = True,
    as_json: Json = False,
) -> None:
    """Draw a pack from its plan and build it. The same command goes on where it was left off."""
    ready = _read(plan)
    if check:
        _show(ready, as_json)
        return
    if out is None or (out.exists() and not out.is_dir()):
        raise Invalid("--out: name the folder of the pack, or ask for --check alone")
    from auditgame.challenges.pack_build import build_pack

    def tell(words: str) -> None:
        typer.echo(words, err=True)

    made = build_pack(ready, out, jobs, tell, published=published, microscope=microscope)
    if as_json:
        printing.emit({"path": str(out), "challenges": made})
    else:
        printing.console().print(f"{len(made)} challenges in {out}", style="bold green")


def _read(path: Path) -> ReadyPlan:
    """The plan in a file with its recipes, each of which can be built."""
    from auditgame.challenges.pack_files import read_plan

    text = read_text(path, "plan")
    try:
        return read_plan(text, _buildable)
    except AuditgameError as error:
        raise Invalid(f"{path}: {str(error).removeprefix('plan: ')}") from None
    except RecursionError:
        raise Invalid(f"{path}: nested too deeply") from None


def _buildable(name: str) -> Recipe:
    from auditgame.challenges.recipe_files import named_recipe
    from auditgame.cli.recipe_lookup import require_buildable

    recipe = named_recipe(name)
    require_buildable(recipe)
    return recipe


def _show(ready: ReadyPlan, as_json: bool) -> None:
    counts = ready.plan.innocent_counts
    low, high = counts[0], counts[-1]
    rows = [_row(ready, place) for place in range(len(ready.groups))]
    if as_json:
        tutorials = [recipe.name for recipe in ready.fixed]
        innocents = {"least": low, "most": high}
        printing.emit(
            {"cases": ready.plan.size, "innocents": innocents, "groups": rows, "fixed": tutorials}
        )
        return
    heading = f"{ready.plan.size} cases, of which {low} to {high} are innocent"
    columns = ("data set", "difficulty", "model", "cases", "examples", "queries", "families")
    made = printing.table(heading, columns, ("cases", "examples", "queries"))
    for row in rows:
        made.add_row(
            title("dataset", row["dataset"]),
            row["tier"],
            title("model", row["model"]),
            "by weight" if row["count"] is None else str(row["count"]),
            str(row["examples"]),
            f"{row['budget']:,}",
            ", ".join(row["families"]),
        )
    printing.console().print(made)


def _row(ready: ReadyPlan, place: int) -> dict[str, Any]:
    group = ready.groups[place]
    recipe = group.recipes[0]
    return {
        "dataset": recipe.dataset,
        "tier": recipe.tier,
        "model": recipe.model,
        "count": ready.plan.groups[place].count,
        "examples": recipe.pool.size,
        "budget": recipe.budget,
        "families": list(group.families),
    }
