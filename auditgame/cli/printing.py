"""Output of the command line: JSON for programs, tables for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.schema.results import Certificate, Receipt

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TIERS = {"tutorial": "cyan", "easy": "green", "medium": "yellow", "hard": "red"}


def emit(data: Any) -> None:
    """Print a JSON value on standard output."""
    typer.echo(json.dumps(data, ensure_ascii=False, allow_nan=False, indent=2))


def console(err: bool = False) -> Console:
    """The terminal. Markup in names and notes is printed as it is written."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, stderr=err)


def table(heading: str, columns: Iterable[str], numbers: Iterable[str] = ()) -> Table:
    """An empty table; the columns named in `numbers` are aligned to the right."""
    from rich import box
    from rich.table import Table

    made = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    right = set(numbers)
    for column in columns:
        made.add_column(column, overflow="fold", header_style="dim")
        made.columns[-1].justify = "right" if column in right else "left"
    return made


def cards(found: list[Card]) -> None:
    """A table with one line per challenge."""
    from rich.text import Text

    made = table(f"{len(found)} challenges", ("id", "title", "difficulty", "data set", "model"))
    made.columns[0].no_wrap = True
    for card in found:
        tier = Text(card.tier, TIERS[card.tier])
        dataset, model = title("dataset", card.dataset), title("model", card.model)
        made.add_row(card.id, card.title, tier, dataset, model)
    console().print(made)
    if not found:
        console().print("No challenges yet. Build one: auditgame build RECIPE", style="dim")


def card(found: Card) -> None:
    """Everything that a player sees before the audit starts."""
    from rich.markdown import Markdown

    out = console()
    out.print(found.title, style="bold")
    out.print(f"{found.id}   {found.tier} {found.mode}", style="dim")
    out.print()
    out.print(Markdown(found.brief, hyperlinks=False))
    made = table("", ("", " "))
    made.show_header = False
    for name, text in _facts(found):
        made.add_row(name, text)
    made.columns[0].style = "dim"
    out.print(made)
    out.print(f"commitment {found.commitment}", style="dim", soft_wrap=True)


def _facts(found: Card) -> list[tuple[str, str]]:
    sites = ", ".join(f"{site.name} ({site.units} {site.kind}s)" for site in found.sites)
    return [
        ("model", f"{title('model', found.model)} trained on {title('dataset', found.dataset)}"),
        ("classes", ", ".join(found.classes)),
        ("families", ", ".join(map(_family, found.families)) or "none"),
        ("sites", sites),
        ("queries", f"{found.budget:,}"),
        ("attempts", str(found.attempts)),
    ]


def _family(name: str) -> str:
    """A family by its title, with the code name that a diagnosis takes."""
    return f"{title('flaw', name)} ({name})"


def receipt(found: Receipt) -> None:
    """A score, component by component."""
    score = found.score
    made = table(
        f"{score.points:.1f} of {score.possible:.0f} points",
        ("component", "points", "of", "reason"),
        ("points", "of"),
    )
    for part in score.components:
        made.add_row(part.name, f"{part.points:.1f}", f"{part.possible:.0f}", part.words)
    out = console()
    out.print(made)
    rule = "counts on the leaderboard" if found.counts else "is for practice"
    left = f"{found.attempts_left} attempts left"
    out.print(f"Attempt {found.attempt} {rule}; {left}.", style="dim")


def certificate(found: Certificate, heading: str) -> None:
    """Every check against its bound, green or red."""
    from rich.text import Text

    made = table(heading, ("", "check", "value", "bound", "meaning"), ("value", "bound"))
    for check in found.checks:
        mark = Text("pass", "green") if check.passed else Text("FAIL", "bold red")
        sign = ">=" if check.rule == "at least" else "<="
        value, bound = f"{check.value:.4g}", f"{sign} {check.bound:.4g}"
        made.add_row(mark, check.name, value, bound, check.words)
    console().print(made)


def certificate_data(found: Certificate) -> dict[str, Any]:
    """A certificate as JSON, with the result of each check."""
    checks = [{**check.model_dump(mode="json"), "passed": check.passed} for check in found.checks]
    return {"passed": found.passed, "tries": found.tries, "checks": checks}


Report = Callable[[str, float, str], None]


def _silent(stage: str, share: float, step: str) -> None:
    """A report that is not shown."""


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A progress bar on standard error; a silent report where there is no terminal."""
    out = console(err=True)
    if quiet or not out.is_terminal:
        yield _silent
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda stage, share, step: bar.update(
            task, completed=share, description=f"{stage}: {step}"
        )
