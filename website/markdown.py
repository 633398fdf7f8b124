"""Markdown from docstrings and from pydantic schemas."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
_CODE = re.compile(r"(`+[^`]+`+)")
_LABEL = re.compile(r"^(Reading it:|How it misleads:|Source:)")
"""How the parts of a tool's help text begin."""
_SPECIAL = re.compile(r"([\\*_<>\[\]|])")


def escape(text: str) -> str:
    """Plain text as Markdown: what stands in backticks stays code, all else is literal."""
    parts = _CODE.split(text)
    return "".join(part if n % 2 else _SPECIAL.sub(r"\\\1", part) for n, part in enumerate(parts))


def paragraphs(thing: object) -> str:
    """A docstring as Markdown, paragraph by paragraph."""
    text = inspect.getdoc(thing) or ""
    parts = [escape(" ".join(part.split())) for part in text.split("\n\n")]
    return "\n\n".join(_LABEL.sub(r"**\1**", part) for part in parts) + "\n"


def first_paragraph(thing: object) -> str:
    """The first paragraph of a docstring as Markdown."""
    return paragraphs(thing).split("\n\n")[0].strip()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped where it is not yet."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, cells))} |\n" for cells in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def field_table(model: type[BaseModel]) -> str:
    """Every field of a model: its name, what it may be, its default, and its description."""
    rows = list(_fields(model.model_json_schema()))
    columns = 4 if any(row[3] for row in rows) else 3
    head = ("field", "type", "default", "meaning")[:columns]
    return table(head, [row[:columns] for row in rows]) if rows else ""


def _fields(
    schema: Schema, inside: str = "", definitions: Schema | None = None
) -> Iterator[tuple[str, str, str, str]]:
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        target = _resolved(field, definitions)
        default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
        words = field.get("description") or target.get("description", "").split("\n\n")[0]
        nested = "properties" in target
        shown = "" if nested else default
        yield (f"`{inside}{name}`", _type(field, definitions), shown, escape(words))
        if nested:
            yield from _fields(target, f"{inside}{name}.", definitions)


def _resolved(field: Schema, definitions: Schema) -> Schema:
    reference = field.get("$ref", "")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else field


def _type(field: Schema, definitions: Schema) -> str:
    """What a field may hold, in words."""
    field = {**_resolved(field, definitions), **field}
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(one, definitions) for one in field["anyOf"]))
    kind = {"null": "nothing", "array": "list", "object": "mapping", "string": "text"}
    stored = str(field.get("type", "anything"))
    words = kind.get(stored, stored)
    items = field.get("items")
    if items:
        words += f" of {_type(items, definitions)}"
    return words + _limits(field)


def _limits(field: Schema) -> str:
    """The bounds of a number, or how long a text or list may be, in words."""
    names = {
        "string": ("minLength", "maxLength", " characters"),
        "array": ("minItems", "maxItems", " entries"),
    }
    numbers = ("minimum", "maximum", "")
    low, high, unit = names.get(field.get("type", ""), numbers)
    if low in field and high in field:
        return f", {field[low]:,} to {field[high]:,}{unit}"
    if low in field or high in field:
        side = "at least" if low in field else "at most"
        return f", {side} {field.get(low, field.get(high)):,}{unit}"
    return f", matching `{field['pattern']}`" if "pattern" in field else ""
