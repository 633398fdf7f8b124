"""What lies on the table once a network from elsewhere was put there, and how to ask it."""

from __future__ import annotations

from typing import Any, NamedTuple

from auditgame.exhibits import Exhibit
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, no_progress, parse_options


class ExternalSession(NamedTuple):
    """A specimen on the table, what lies beside it, and what should be known of both."""

    specimen: Specimen
    context: ToolContext
    notes: tuple[str, ...] = ()


def use(
    laid: ExternalSession,
    tool: str,
    progress: Any = no_progress,
    picture: Any = None,
    **options: Any,
) -> tuple[list[Exhibit], int]:
    """Put a tool's question to it: what it shows, and the probes it took."""
    kind = load("tool", tool)
    refusal = kind.fits(laid.specimen)
    if refusal:
        raise AuditgameError(refusal)
    if picture is not None and "picture" in kind.Options.model_fields:
        options["picture"] = True
    chosen = parse_options(kind, options)
    context = ToolContext(laid.specimen.dataset, laid.context.examples, (), picture, progress)
    cost = kind().cost(chosen, laid.specimen, context)
    return kind().run(laid.specimen, context, chosen), cost
