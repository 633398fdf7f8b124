"""Reference pages for the plug-ins: flaws, tools, data sets, models and auditors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

from auditgame.plugins.descriptions import title
from auditgame.registry import FOLDERS, Kind, load, names
from auditgame.schema.records import ToolQuestion
from website.markdown import escape, field_table, paragraphs


def pages() -> dict[str, str]:
    """The Markdown of each kind's page, under the name of its folder."""
    return {FOLDERS[kind]: "\n".join(_page(kind)) for kind in get_args(Kind)}


def _page(kind: Kind) -> Iterator[str]:
    if kind != "tool":
        yield from (_entry(kind, load(kind, name), "##") for name in names(kind))
        return
    tools = [load("tool", name) for name in names("tool")]
    for question in get_args(ToolQuestion):
        yield f"## {question}\n"
        yield from (_entry(kind, tool, "###") for tool in tools if tool.asks == question)


def _entry(kind: Kind, plugin: Any, level: str) -> str:
    """One plug-in: title, name, modality, docstring, and what can be set."""
    modality = plugin.modality
    fits = " and ".join(sorted({modality} if isinstance(modality, str) else modality))
    heading = escape(title(kind, plugin.name))
    lines = [f"({kind}-{plugin.name})=", f"{level} {heading}", ""]
    lines += [f"`{plugin.name}`, for {fits} models", "", paragraphs(plugin)]
    return "\n".join([*lines, *DETAILS[kind](plugin)])


def _flaw(flaw: Any) -> Iterator[str]:
    if flaw.Claim is not None:
        yield "**Claim**: what a player states.\n"
        yield field_table(flaw.Claim)
    if flaw.Params.model_fields:
        yield "**Parameters**: what a recipe may narrow, under `params`.\n"
        yield field_table(flaw.Params)


def _tool(tool: Any) -> Iterator[str]:
    if tool.Options.model_fields:
        yield "**Options**\n"
        yield field_table(tool.Options)


def _dataset(dataset: Any) -> Iterator[str]:
    if dataset.factors:
        yield "**Factors**\n"
        for name, levels in dataset.factors.items():
            yield f"- {name}: {', '.join(levels)}"
        yield ""
    yield f"**Licence**: {escape(dataset.licence)}\n"


def _nothing_more(_: Any) -> Iterator[str]:
    yield from ()


DETAILS: dict[Kind, Callable[[Any], Iterator[str]]] = {
    "flaw": _flaw,
    "tool": _tool,
    "dataset": _dataset,
    "model": _nothing_more,
    "auditor": _nothing_more,
}
