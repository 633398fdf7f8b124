"""Options of a tool, written as KEY=VALUE."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from auditgame.registry import suggest
from auditgame.schema.errors import Invalid

if TYPE_CHECKING:
    from auditgame.tools import Tool


def parse_choices(tool: type[Tool], written: list[str]) -> dict[str, Any]:
    """The options as a dictionary. A value is JSON, a plain word or a list with commas."""
    fields = tool.Options.model_json_schema().get("properties", {})
    chosen: dict[str, Any] = {}
    for text in written:
        key, sign, value = text.partition("=")
        if not sign:
            raise Invalid(f"option '{text}': write KEY=VALUE, such as examples=0-3")
        if key not in fields:
            raise Invalid(f"tool '{tool.name}': {suggest('option', key, fields)}")
        if key in chosen:
            raise Invalid(f"option '{key}': is given twice; give it once")
        chosen[key] = _value(value, _types(fields[key]))
    return chosen


def _types(field: dict[str, Any]) -> set[str]:
    branches = field.get("anyOf", [field])
    return {branch.get("type", "string" if "enum" in branch else "") for branch in branches}


def _value(text: str, types: set[str]) -> Any:
    if "string" in types and text != "null":
        return text
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return [part.strip() for part in text.split(",")] if "array" in types else text
