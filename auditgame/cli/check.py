"""The command `check`: measures certificates again and tests plug-ins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from auditgame import bundles, paths
from auditgame.cli import printing
from auditgame.cli.error_output import one_line
from auditgame.cli.io import open_game
from auditgame.cli.options import Json
from auditgame.registry import FOLDERS, LABELS, Kind, load, names, suggest
from auditgame.schema.errors import AuditgameError, Invalid, NotFound
from auditgame.schema.results import Certificate

if TYPE_CHECKING:
    from auditgame.plugins.conformance import RuleResult
    from auditgame.registry import Plugin


class Measurement(NamedTuple):
    """What was checked, and its certificate; or why it could not be measured."""

    name: str
    certificate: Certificate | None
    error: str = ""


def check(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH|ID|NAME]",
            help="A challenge (id or folder), a reference model (folder), a plug-in (name or .py), "
            "or a recipe (.yaml).",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every practice challenge and reference model.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure certificates again, test plug-ins for conformance, validate recipes.

    Exit code 1 if a certificate or a conformance test fails.
    """
    if every == (target is not None):
        raise Invalid("check: name one challenge, plug-in, folder or file, or use --all")
    if target is None:
        _check_all(as_json)
    elif target.endswith(".py"):
        _check_plugin(Path(target), as_json)
    elif target.endswith((".yaml", ".yml")):
        _check_recipe(Path(target), as_json)
    elif Path(target).is_dir():
        _check_folder(Path(target), as_json)
    elif plugin := _named_plugin(target):
        _examine(*plugin, as_json)
    else:
        cards = {card.id: card for card in open_game().cards()}
        if target not in cards:
            known = [name for kind in FOLDERS for name in names(kind)]
            raise suggest("challenge or plug-in", target, [*cards, *known], NotFound)
        _check_folder(Path(cards[target].path), as_json)


def measure(folder: Path) -> Certificate:
    """The certificate of a bundle or a reference model, measured again."""
    from auditgame.play import verification

    if (folder / bundles.MANIFEST).is_file():
        return verification.check_bundle(folder)
    if (folder / "reference.json").is_file():
        return verification.check_reference(folder)
    raise NotFound(f"'{folder}': has neither {bundles.MANIFEST} nor reference.json")


def _check_folder(folder: Path, as_json: bool) -> None:
    _show([Measurement(folder.name, measure(folder))], as_json)


def _check_all(as_json: bool) -> None:
    folders = [path.parent for path in sorted(paths.practice().glob(f"*/{bundles.MANIFEST}"))]
    for folder in paths.references():
        folders += [path.parent for path in sorted(folder.glob("*/*/reference.json"))]
    measured = []
    with printing.progress(as_json) as report:
        for done, folder in enumerate(folders):
            name = folder.name if folder.name.count("-") else f"{folder.parent.name}/{folder.name}"
            report("check", done / len(folders), name)
            try:
                measured.append(Measurement(name, measure(folder)))
            except AuditgameError as error:
                measured.append(Measurement(name, None, str(error)))
    _show(measured, as_json)


def _show(found: list[Measurement], as_json: bool) -> None:
    if as_json:
        printing.emit({measured.name: _data(measured) for measured in found})
    elif len(found) == 1 and found[0].certificate:
        printing.certificate(found[0].certificate, found[0].name)
    else:
        _summary(found)
    if any(measured.certificate and not measured.certificate.passed for measured in found):
        raise typer.Exit(1)
    errors = [measured.error for measured in found if measured.error]
    if errors:
        raise Invalid(f"{errors[0]} ({len(errors)} could not be measured)")


def _data(measured: Measurement) -> dict[str, Any]:
    if measured.certificate is None:
        return {"passed": False, "refused": measured.error}
    return printing.certificate_data(measured.certificate)


def _summary(found: list[Measurement]) -> None:
    from rich.text import Text

    made = printing.table(f"{len(found)} checked", ("", "name", "checks", "details"), ("checks",))
    for measured in found:
        certificate = measured.certificate
        passed = certificate is not None and certificate.passed
        mark = Text("pass", "green") if passed else Text("FAIL", "bold red")
        failures = certificate.failures if certificate else ()
        details = ", ".join(f"{check.name} {check.value:.3g}" for check in failures)
        count = str(len(certificate.checks)) if certificate else ""
        made.add_row(mark, measured.name, count, one_line(details or measured.error))
    printing.console().print(made)


def _check_recipe(path: Path, as_json: bool) -> None:
    from auditgame.cli.recipe_lookup import read_recipe_file, require_buildable

    recipe = read_recipe_file(path)
    require_buildable(recipe)
    if as_json:
        printing.emit(recipe.model_dump(mode="json"))
    else:
        printing.console().print(f"{path}: valid", style="green")


def _check_plugin(path: Path, as_json: bool) -> None:
    from auditgame.plugins.conformance import load_file

    if not path.is_file():
        raise NotFound(f"plug-in '{path}': no such file")
    _examine(*load_file(path), as_json)


def _named_plugin(target: str) -> tuple[Kind, type[Plugin]] | None:
    """The plug-in of this name, written `tool:inversion` where several kinds have one of it."""
    prefix, _, name = target.rpartition(":")
    kinds = [kind for kind in FOLDERS if prefix in ("", kind) and name in names(kind)]
    if len(kinds) > 1:
        choices = " or ".join(f"{kind}:{name}" for kind in kinds)
        raise Invalid(f"'{name}': is the name of several plug-ins; write {choices}")
    return (kinds[0], load(kinds[0], name)) if kinds else None


def _examine(kind: Kind, plugin: type[Plugin], as_json: bool) -> None:
    from auditgame.plugins.conformance import examine

    with printing.progress(as_json) as report:
        report(kind, 0.0, plugin.__name__)
        findings = examine(kind, plugin)
    if as_json:
        rules = [finding._asdict() for finding in findings]
        printing.emit({"kind": kind, "name": plugin.name, "rules": rules})
    else:
        _show_findings(f"{LABELS[kind]} {plugin.name}", findings)
    if any(finding.fault for finding in findings):
        raise typer.Exit(1)


def _show_findings(title: str, findings: list[RuleResult]) -> None:
    from rich.text import Text

    made = printing.table(title, ("", "rule", "fault"))
    for finding in findings:
        mark = Text("FAIL", "bold red") if finding.fault else Text("pass", "green")
        made.add_row(mark, finding.rule, one_line(finding.fault or ""))
    printing.console().print(made)
