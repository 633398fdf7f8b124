"""Every generated fragment that a page of the reference or the architecture page includes."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from auditgame import exhibits
from auditgame.challenges.pack import FixedCase, PackPlan, PlanGroup
from auditgame.evaluation import bounds
from auditgame.play import scoring
from auditgame.schema.errors import EXIT_CODES, AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.ui.glossary import terms
from website import architecture, command_line, plugins
from website.markdown import escape, field_table, first_paragraph, paragraphs, table


def fragments() -> dict[str, str]:
    """The text of each fragment, by file name."""
    graph = architecture.import_graph()
    return {
        "layers.svg": architecture.svg(graph),
        "layers.md": architecture.table(graph),
        "counts.md": f"{architecture.counts(graph)}\n",
        "commands.md": command_line.page(),
        "recipe.md": field_table(Recipe),
        "pack.md": pack_tables(),
        "exit-codes.md": exit_codes(),
        "bounds.md": bound_table(),
        "weights.md": weight_table(),
        "exhibits.md": exhibit_kinds(),
        "glossary.md": glossary(),
        **{f"{name}.md": text for name, text in plugins.pages().items()},
    }


def pack_tables() -> str:
    """The fields of a plan, of its groups and of its fixed cases."""
    return "\n".join(
        f"## {heading}\n\n{paragraphs(kind)}\n{field_table(kind)}"
        for heading, kind in (
            ("The plan", PackPlan),
            ("Each of its `groups`", PlanGroup),
            ("Each case under `fixed`", FixedCase),
        )
    )


def exit_codes() -> str:
    """How the command line ends on each kind of error."""
    kinds = [kind for kind in EXIT_CODES if kind is not AuditgameError]
    rows = [(str(EXIT_CODES[kind]), kind.__name__, first_paragraph(kind)) for kind in kinds]
    return table(("exit code", "kind", "meaning"), rows)


def bound_table() -> str:
    """Every check of a certificate, with its bound."""
    rows = [
        (escape(row.asked_of), escape(row.check), escape(row.bound), escape(row.meaning))
        for row in bounds.rows()
    ]
    return table(("asked of", "check", "bound", "meaning"), rows)


def weight_table() -> str:
    """Every number of the score."""
    rows = [(f"`{row.name}`", f"{row.value:g}", escape(row.meaning)) for row in scoring.rows()]
    return table(("name", "value", "meaning"), rows)


def exhibit_kinds() -> str:
    """Every kind of exhibit, with its fields."""
    union: Any = exhibits.Exhibit
    union = get_args(union)[0] if get_origin(union) is Annotated else union
    return "\n".join(
        f"## {kind.__name__}\n\n{paragraphs(kind)}\n{field_table(kind)}" for kind in get_args(union)
    )


def glossary() -> str:
    """Every term with its definition, as a definition list."""
    return "\n".join(f"**{term}**. {meaning}\n" for term, meaning in terms().items())
