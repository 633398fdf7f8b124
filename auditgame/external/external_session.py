"""Sessions on an external network: the network with its inputs, and tool runs on it."""

from __future__ import annotations

from typing import Any, NamedTuple

from auditgame.exhibits import Exhibit
from auditgame.registry import load
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, no_progress, parse_options


class ExternalSession(NamedTuple):
    """An external network as a specimen, its inputs, and notes on both."""

    specimen: Specimen
    context: ToolContext
    notes: tuple[str, ...] = ()


def use(
    session: ExternalSession,
    tool: str,
    progress: Any = no_progress,
    picture: Any = None,
    **options: Any,
) -> tuple[list[Exhibit], int]:
    """Run a tool: its exhibits, and the queries it took."""
    kind = load("tool", tool)
    refusal = kind.fits(session.specimen)
    if refusal:
        raise Invalid(refusal)
    if picture is not None and "picture" in kind.Options.model_fields:
        options["picture"] = True
    chosen = parse_options(kind, options)
    context = ToolContext(session.specimen.dataset, session.context.examples, (), picture, progress)
    cost = kind().cost(chosen, session.specimen, context)
    return kind().run(session.specimen, context, chosen), cost
