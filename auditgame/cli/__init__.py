"""The command line: the whole game for people at a terminal and for programs.

Exit codes: 0 success; 1 a certificate, a conformance test or a check of the installation failed;
2 to 6 an error of one of five kinds, reported in one line on standard error (see `error_output`).
With --json, standard output carries JSON and nothing else.
"""

from __future__ import annotations

from typing import Annotated

import typer

from auditgame.cli import (
    authoring,
    browsing,
    check,
    leaks,
    own_network,
    packs,
    playing,
    serve,
)
from auditgame.cli.error_output import OneLine
from auditgame.host import using_database

app = typer.Typer(
    cls=OneLine,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("play")(serve.play)
app.command("list")(browsing.list_challenges)
app.command("show")(browsing.show)
app.command("tools")(browsing.tools)
app.command("use")(playing.use)
app.command("submit")(playing.submit)
app.command("reveal")(playing.reveal)
app.command("audit")(playing.audit)
app.command("standings")(browsing.standings)
app.command("build")(authoring.build)
app.command("pack")(packs.pack)
app.command("references")(authoring.references)
app.command("check")(check.check)
app.command("leaks")(leaks.leaks)
app.command("new")(authoring.new)
app.command("fetch")(own_network.fetch)
app.command("doctor")(serve.doctor)


@app.callback(invoke_without_command=True)
def auditgame(
    context: typer.Context,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            help="The ledger's database: sqlite:///FILE or postgresql://HOST/NAME. "
            "By default AUDITGAME_DATABASE_URL, or a file in the user data.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Find flaws that were planted in small models, and say how sure you are."""
    from auditgame import __version__

    if db:
        context.with_resource(using_database(db))
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line with the arguments of this process."""
    app(prog_name="auditgame")
