"""YAML files of authors: their values, and errors that name the field and its line."""

from __future__ import annotations

from typing import Any

import yaml

from auditgame.schema.errors import Invalid


class FieldFault(Invalid):
    """A value of one field is wrong; the path leads to it, part by part."""

    def __init__(self, path: list[str], message: str) -> None:
        super().__init__(f"field '{'.'.join(path)}': {message}")
        self.path = path


def parse_yaml(text: str, what: str) -> tuple[yaml.Node, dict[str, Any]]:
    """The mapping in this text with its nodes, or an AuditgameError that names the line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise Invalid(
            f"{what}: {where}not YAML: {getattr(error, 'problem', 'unreadable')}"
        ) from None
    if not isinstance(data, dict) or node is None:
        raise Invalid(f"{what}: line 1: write `field: value`, one field per line")
    return node, data


def at_line(fault: FieldFault, node: yaml.Node, what: str) -> Invalid:
    """The same fault with the line of its field in the file."""
    return Invalid(f"{what}: line {_line(node, fault.path)}: {fault}")


def _line(node: yaml.Node, path: list[str]) -> int:
    """The line of the deepest part of the path that the file has."""
    for part in path:
        inside = dict(_children(node))
        if part not in inside:
            break
        node = inside[part]
    return int(node.start_mark.line) + 1


def _children(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(str(index), value) for index, value in enumerate(node.value)]
    return []
