"""The reference of the command line, from the application itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from auditgame.cli import app
from website.markdown import escape, table

PROGRAM = "auditgame"


def commands() -> dict[str, Any]:
    """Every command under its name; the program itself first."""
    group: Any = typer.main.get_command(app)
    return {PROGRAM: group} | {f"{PROGRAM} {name}": one for name, one in group.commands.items()}


def page() -> str:
    """Every command: usage, what it does, its arguments and options. Markdown."""
    return "\n".join(line for name, one in commands().items() for line in _command(name, one))


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [argument(one) for one in command.params if not one.opts[0].startswith("-")]
    usage = [name, "[OPTIONS]", *arguments, *(["COMMAND ..."] if name == PROGRAM else [])]
    yield f"## {name}\n"
    yield f"```text\n{' '.join(usage)}\n```\n"
    for part in (command.help or "").split("\n\n"):
        yield escape(" ".join(part.split())) + "\n"
    yield table(("argument or option", "default", "meaning"), map(_parameter, command.params))


def argument(one: Any) -> str:
    """An argument as a usage line shows it: in brackets where it may be left out."""
    name = (one.metavar or one.name.upper()).strip("[]")
    return name if one.required else f"[{name}]"


def _parameter(one: Any) -> tuple[str, str, str]:
    names = argument(one).strip("[]")
    if one.opts[0].startswith("-"):
        names = ", ".join(one.opts + one.secondary_opts)
        names += "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    default = "" if one.default in (None, False, True) else f"`{one.default}`"
    return f"`{names}`", "required" if one.required else default, escape(one.help or "")
