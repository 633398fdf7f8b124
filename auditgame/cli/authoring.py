"""Commands that make things: challenges, clean siblings, plug-ins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditgame.cli import printing
from auditgame.cli.error_output import refuse
from auditgame.cli.options import Json, Out
from auditgame.schema.errors import AuditgameError
from auditgame.schema.results import Certificate

if TYPE_CHECKING:
    from auditgame.challenges.build import BuildFailed

Report = Callable[[str, float, str], None]
STEP = 0.01
"""Progress is written down when a stage has come on by so much."""


def build(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A YAML file, or a name in challenges/recipes.")
    ],
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="A numbered seed is public, so anyone can rebuild the answer: for tests only. "
            "Without it the seed is fresh and secret.",
        ),
    ] = None,
    out: Out = None,
    progress: Annotated[
        Path | None,
        typer.Option("--progress", metavar="FILE", help="Append one JSON line a report."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build one certified challenge; exit code 1 where the flaw cannot be proven."""
    with _told(progress) as note:
        from auditgame.cli.recipe_lookup import find_recipe, read_recipe_file, require_buildable

        if out is not None and out.exists() and not out.is_dir():
            raise AuditgameError(f"--out '{out}': is a file; name a folder")
        chosen = read_recipe_file(find_recipe(recipe))
        require_buildable(chosen)
        from auditgame import bundles, paths
        from auditgame.challenges.build import BuildFailed
        from auditgame.challenges.build import build as make
        from auditgame.seeds import Seed

        drawn = Seed.fresh() if seed is None else Seed.of(seed)
        try:
            with printing.progress(as_json) as bar:
                made = make(chosen, drawn, out or paths.built(), _reports(note, bar))
        except BuildFailed as error:
            _failed(error, note, as_json)
        note({"done": str(made)})
    card = bundles.card(made)
    if as_json:
        printing.emit({"id": card.id, "path": str(made), "commitment": card.commitment})
    else:
        printing.paper().print(f"Built and certified: {card.id}", style="bold green")
        printing.paper().print(f"{made}\ncommitment {card.commitment}", style="dim", soft_wrap=True)


@contextmanager
def _told(path: Path | None) -> Iterator[Callable[[dict[str, object]], None]]:
    """A way to write JSON lines to the progress file; bad input is told there, too."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise AuditgameError(f"--progress '{path}': name a file in a folder that is there")

    def note(line: dict[str, object]) -> None:
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    try:
        yield note
    except AuditgameError as error:
        note({"failed": str(error), "certificate": None})
        raise


def _reports(note: Callable[[dict[str, object]], None], bar: Report) -> Report:
    """To the file, to be read by a program, and to the screen."""
    last: list[tuple[str, float]] = [("", 0.0)]

    def report(stage: str, share: float, words: str) -> None:
        before, done = last[0]
        if stage != before or share >= 1 or abs(share - done) >= STEP:
            last[0] = (stage, share)
            note({"stage": stage, "share": share, "words": words})
            bar(stage, share, words)

    return report


def _failed(error: BuildFailed, note: Callable[[dict[str, object]], None], as_json: bool) -> None:
    certificate: Certificate = error.certificate
    proof = certificate.model_dump(mode="json")
    note({"failed": str(error), "certificate": proof})
    if as_json:
        data = printing.certificate_data(certificate)
        printing.emit({"failed": str(error), "certificate": data})
    else:
        printing.certificate(certificate, "Certificate")
    refuse(error, 1)


def references(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A data set's name.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")],
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, max=20, help="How many siblings in all.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Train the clean siblings of a data set and model, those that are not there yet."""
    from auditgame.bundles.reference_models import reference_folders
    from auditgame.challenges.build import reference
    from auditgame.registry import load

    load("model", model).build(load("dataset", dataset)(), None)
    made = []
    with printing.progress(as_json) as bar:
        there = {folder.name for folder in reference_folders(dataset, model)}
        for number in range(count):
            if str(number) not in there:
                made.append(reference(dataset, model, number, bar))
    if as_json:
        printing.emit([str(path) for path in made])
    else:
        printing.paper().print(f"{len(made)} siblings of {dataset} x {model} trained")


def new(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="flaw, tool, dataset, model, auditor or recipe."),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, underscores.")
    ],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Write a working example of a plug-in or recipe, to be changed by hand."""
    from auditgame.plugins.scaffold import write

    path = write(kind, name, out)
    if as_json:
        printing.emit({"path": str(path)})
    else:
        printing.paper().print(f"Wrote {path}", style="bold")
        printing.paper().print(f"Test it: auditgame check {path}", style="dim")
