"""The command `leaks`: the leak audit of a folder of challenges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditgame import bundles
from auditgame.cli import printing
from auditgame.cli.options import Json
from auditgame.schema.errors import NotFound

if TYPE_CHECKING:
    from auditgame.evaluation.leak_audit import LeakAudit, LeakRow

NAMED = 5
"""Numbers that the verdict names."""
SHOWN = 12
"""Lines of the table; --json gives every number."""


def leaks(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Folders of challenges whose keys you can open."),
    ],
    as_json: Json = False,
) -> None:
    """Test whether flawed models can be told from clean ones without auditing them.

    Images and texts are judged apart. Exit code 1 if anything leaks.
    """
    from auditgame.evaluation.leak_audit import audit
    from auditgame.play.leak_measurement import measure

    cases = [path.parent for folder in folders for path in sorted(folder.glob("*/bundle.json"))]
    if not cases:
        raise NotFound(f"'{folders[0]}': holds no challenges")
    groups: dict[str, list[LeakRow]] = {}
    with printing.progress(as_json) as report:
        for done, case in enumerate(cases):
            report("leaks", done / len(cases), case.name)
            manifest = bundles.read_manifest(case)
            groups.setdefault(manifest.modality, []).append(measure(case))
    found = {name: audit(rows) for name, rows in groups.items()}
    if as_json:
        printing.emit({name: as_data(one) for name, one in found.items()})
    else:
        for name, one in found.items():
            show(name, one)
    if any(one.leaks for one in found.values()):
        raise typer.Exit(1)


def as_data(found: LeakAudit) -> dict[str, Any]:
    """The audit as JSON: every number, the strongest first."""
    return {
        "flawed": found.flawed,
        "clean": found.clean,
        "bases": found.bases,
        "passed": not found.leaks,
        "conclusive": found.conclusive,
        "leaks": list(found.leaks),
        "largest_by_chance": found.null,
        "p": found.p,
        "together": found.together._asdict(),
        "numbers": [one._asdict() for one in found.numbers],
    }


def show(name: str, found: LeakAudit) -> None:
    """The strongest numbers, and what follows from them."""
    heading = f"{name}: {found.flawed} flawed, {found.clean} clean, {found.bases} base models"
    made = printing.table(heading, ("number", "AUC", "95 % interval"), ("AUC", "95 % interval"))
    for one in (found.together, *found.numbers[:SHOWN]):
        made.add_row(one.name, f"{one.auc:.2f}", f"{one.low:.2f} to {one.high:.2f}")
    out = printing.console()
    out.print(made)
    out.print(
        f"The largest of {len(found.numbers)} is {found.largest.auc:.2f}; with labels drawn by "
        f"lot it is below {found.null:.2f} in 95 % of cases (p = {found.p:.3f})."
    )
    out.print(verdict(found))


def verdict(found: LeakAudit) -> str:
    """What the audit shows, in one or two sentences."""
    from auditgame.evaluation.leak_audit import ENOUGH

    few = (
        f" With {min(found.flawed, found.clean)} models of one kind it can hardly pass; "
        f"{ENOUGH} of each are needed to show that nothing leaks."
    )
    if not found.leaks:
        return "Nothing leaks."
    more = len(found.leaks) - NAMED
    named = ", ".join(found.leaks[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"Not shown to be free of leaks: {named}." + few * (not found.conclusive)
