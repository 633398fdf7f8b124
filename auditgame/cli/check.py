"""The command that proves: bundles and siblings measured again, plug-ins held to their contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from auditgame import bundles, paths
from auditgame.cli import printing
from auditgame.cli.error_output import one_line
from auditgame.cli.io import open_game
from auditgame.cli.options import Json
from auditgame.schema.errors import AuditgameError
from auditgame.schema.results import Certificate

if TYPE_CHECKING:
    from auditgame.plugins.conformance import RuleResult


class Proof(NamedTuple):
    """What was checked, and its certificate; or why it could not be measured."""

    name: str
    certificate: Certificate | None
    refusal: str = ""


def check(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH|ID]",
            help="A challenge (id or folder), a sibling (folder), a plug-in (.py), or a "
            "recipe (.yaml).",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every challenge of the practice pack, every sibling.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Does it hold? Measures certificates anew, and holds plug-ins to their contract.

    Exit code 1 where a certificate or a contract fails.
    """
    if every == (target is not None):
        raise AuditgameError("check: name one challenge, folder or file, or use --all")
    if target is None:
        _check_all(as_json)
    elif target.endswith(".py"):
        _check_plugin(Path(target), as_json)
    elif target.endswith((".yaml", ".yml")):
        _check_recipe(Path(target), as_json)
    else:
        folder = Path(target)
        if not folder.is_dir():
            folder = Path(open_game().card(target).path)
        proof = Proof(folder.name, measure(folder))
        _show([proof], as_json)


def measure(folder: Path) -> Certificate:
    """The certificate of a bundle or a sibling, measured again."""
    from auditgame.play import referee

    if (folder / bundles.MANIFEST).is_file():
        return referee.check_bundle(folder)
    if (folder / "reference.json").is_file():
        return referee.check_reference(folder)
    raise AuditgameError(f"'{folder}': holds neither {bundles.MANIFEST} nor reference.json")


def _check_all(as_json: bool) -> None:
    folders = [path.parent for path in sorted(paths.practice().glob(f"*/{bundles.MANIFEST}"))]
    for folder in paths.references():
        folders += [path.parent for path in sorted(folder.glob("*/*/reference.json"))]
    proofs = []
    with printing.progress(as_json) as report:
        for done, folder in enumerate(folders):
            name = folder.name if folder.name.count("-") else f"{folder.parent.name}/{folder.name}"
            report("check", done / len(folders), name)
            try:
                proofs.append(Proof(name, measure(folder)))
            except AuditgameError as error:
                proofs.append(Proof(name, None, str(error)))
    _show(proofs, as_json)


def _show(proofs: list[Proof], as_json: bool) -> None:
    if as_json:
        printing.emit({proof.name: _data(proof) for proof in proofs})
    elif len(proofs) == 1 and proofs[0].certificate:
        printing.certificate(proofs[0].certificate, proofs[0].name)
    else:
        _summary(proofs)
    if any(proof.certificate and not proof.certificate.passed for proof in proofs):
        raise typer.Exit(1)
    refused = [proof.refusal for proof in proofs if proof.refusal]
    if refused:
        raise AuditgameError(f"{refused[0]} ({len(refused)} could not be measured)")


def _data(proof: Proof) -> dict[str, Any]:
    if proof.certificate is None:
        return {"passed": False, "refused": proof.refusal}
    return printing.certificate_data(proof.certificate)


def _summary(proofs: list[Proof]) -> None:
    from rich.text import Text

    made = printing.table(f"{len(proofs)} checked", ("", "name", "checks", "words"), ("checks",))
    for proof in proofs:
        certificate = proof.certificate
        good = certificate is not None and certificate.passed
        mark = Text("pass", "green") if good else Text("FAIL", "bold red")
        failures = certificate.failures if certificate else ()
        words = ", ".join(f"{check.name} {check.value:.3g}" for check in failures) or proof.refusal
        count = str(len(certificate.checks)) if certificate else ""
        made.add_row(mark, proof.name, count, one_line(words))
    printing.paper().print(made)


def _check_recipe(path: Path, as_json: bool) -> None:
    from auditgame.cli.recipe_lookup import read_recipe_file, require_buildable

    recipe = read_recipe_file(path)
    require_buildable(recipe)
    if as_json:
        printing.emit(recipe.model_dump(mode="json"))
    else:
        printing.paper().print(f"{path}: in order", style="green")


def _check_plugin(path: Path, as_json: bool) -> None:
    from auditgame.plugins.conformance import examine, load_file

    if not path.is_file():
        raise AuditgameError(f"plug-in '{path}': there is no such file")
    kind, plugin = load_file(path)
    with printing.progress(as_json) as report:
        report(kind, 0.0, plugin.__name__)
        findings = examine(kind, plugin)
    if as_json:
        rules = [finding._asdict() for finding in findings]
        printing.emit({"kind": kind, "name": plugin.name, "rules": rules})
    else:
        _show_findings(f"{kind} {plugin.name}", findings)
    if any(finding.fault for finding in findings):
        raise typer.Exit(1)


def _show_findings(title: str, findings: list[RuleResult]) -> None:
    from rich.text import Text

    made = printing.table(title, ("", "rule", "words"))
    for finding in findings:
        mark = Text("FAIL", "bold red") if finding.fault else Text("pass", "green")
        made.add_row(mark, finding.rule, one_line(finding.fault or ""))
    printing.paper().print(made)
