"""Commands for authors: build challenges, train reference models, write plug-ins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditgame.cli import printing
from auditgame.cli.error_output import refuse
from auditgame.cli.options import Json, Microscope, Out
from auditgame.plugins.descriptions import title
from auditgame.schema.errors import AuditgameError, Invalid
from auditgame.schema.results import Certificate

if TYPE_CHECKING:
    from auditgame.challenges.build import BuildFailed

Report = Callable[[str, float, str], None]
STEP = 0.01
"""Progress is reported whenever a stage has advanced by this share."""


def build(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A YAML file, or a name in challenges/recipes.")
    ],
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="A public seed, for tests only: anyone can rebuild the answer from it. By default "
            "the seed is drawn at random and stays secret.",
        ),
    ] = None,
    out: Out = None,
    progress: Annotated[
        Path | None,
        typer.Option(
            "--progress", metavar="FILE", help="Append progress to this file, as JSON lines."
        ),
    ] = None,
    microscope: Microscope = True,
    as_json: Json = False,
) -> None:
    """Build one certified challenge. Exit code 1 if the flaw cannot be certified."""
    with _progress_file(progress) as note:
        from auditgame.cli.recipe_lookup import find_recipe, read_recipe_file, require_buildable

        if out is not None and out.exists() and not out.is_dir():
            raise Invalid(f"--out '{out}': is a file; name a folder")
        chosen = read_recipe_file(find_recipe(recipe))
        require_buildable(chosen)
        from auditgame import bundles, paths
        from auditgame.challenges.build import BuildFailed
        from auditgame.challenges.build import build as make
        from auditgame.seeds import Seed

        drawn = Seed.fresh() if seed is None else Seed.of(seed)
        try:
            with printing.progress(as_json) as bar:
                report = _reports(note, bar)
                made = make(chosen, drawn, out or paths.built(), report, microscope=microscope)
        except BuildFailed as error:
            _failed(error, note, as_json)
        note({"done": str(made)})
    card = bundles.card(made)
    if as_json:
        printing.emit({"id": card.id, "path": str(made), "commitment": card.commitment})
    else:
        printing.console().print(f"Built and certified: {card.id}", style="bold green")
        printing.console().print(
            f"{made}\ncommitment {card.commitment}", style="dim", soft_wrap=True
        )


@contextmanager
def _progress_file(path: Path | None) -> Iterator[Callable[[dict[str, object]], None]]:
    """A function that appends a JSON line to the progress file; errors are written there, too."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise Invalid(f"--progress '{path}': name a file in a folder that exists")

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
    """A report to the progress file, for programs, and to the screen."""
    last: list[tuple[str, float]] = [("", 0.0)]

    def report(stage: str, share: float, step: str) -> None:
        before, done = last[0]
        if stage != before or share >= 1 or abs(share - done) >= STEP:
            last[0] = (stage, share)
            note({"stage": stage, "share": share, "words": step})
            bar(stage, share, step)

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
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="The code name of a data set, such as storybook."),
    ],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The code name of a model, such as small_cnn.")
    ],
    count: Annotated[
        int,
        typer.Option(
            "--count", metavar="N", min=1, max=20, help="How many reference models in all."
        ),
    ] = 3,
    as_json: Json = False,
) -> None:
    """Train the reference models of a data set and model that do not exist yet."""
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
        names = f"{title('model', model)} on {title('dataset', dataset)}"
        printing.console().print(f"Trained {len(made)} reference models of {names}")


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
    """Write a working example of a plug-in or a recipe, as a starting point."""
    from auditgame.plugins.scaffold import write

    path = write(kind, name, out)
    if as_json:
        printing.emit({"path": str(path)})
    else:
        printing.console().print(f"Wrote {path}", style="bold")
        printing.console().print(f"Test it: auditgame check {path}", style="dim")
