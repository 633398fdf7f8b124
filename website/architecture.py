"""The layers of the package, read from its own import graph, as a picture and as a table.

`python -m website.architecture` prints how many entries, arrows and layers there are.
An entry is a module or package directly in `auditgame/`; an arrow says that one imports another.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from html import escape as html
from itertools import pairwise
from statistics import fmean

import grimp

from website import markdown
from website.markdown import first_paragraph

PACKAGE = "auditgame"
Graph = Mapping[str, frozenset[str]]
"""Each entry, and the entries that it imports."""
Node = tuple[str, str, int]
"""A place in a row: an entry as (name, "", row), or where an arrow crosses a row on its way."""

ROW, BOX, LETTER, GAP, CROSSING, SWEEPS = 62, 30, 7.4, 22, 10, 24
"""Row and box height, width of a letter and of a gap, room for a crossing arrow, in pixels."""
STYLE = (
    "rect.entry{fill:#eef3fb;stroke:#5b7db1}text{font:13px monospace;fill:#1c2b42;"
    "text-anchor:middle}path{fill:none;stroke:#8a9bb5;stroke-width:1.2}"
)


def import_graph() -> Graph:
    """Which entry imports which? Imports for type checking alone do not count."""
    found = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    entries = {module.split(".")[1] for module in found.modules if module != PACKAGE}
    arrows = {
        (_entry(module), _entry(other))
        for module in found.modules - {PACKAGE}
        for other in found.find_modules_directly_imported_by(module) - {PACKAGE}
    }
    return {name: frozenset(b for a, b in arrows if a == name != b) for name in sorted(entries)}


def _entry(module: str) -> str:
    return module.split(".")[1]


def rows(graph: Graph) -> list[list[str]]:
    """The layers, top first: each entry stands one above the highest entry that it imports."""

    @functools.cache
    def height(name: str) -> int:
        return 1 + max((height(below) for below in graph[name]), default=-1)

    top = max(map(height, graph))
    return [[name for name in graph if height(name) == top - row] for row in range(top + 1)]


def reduced(graph: Graph) -> Graph:
    """The same graph without arrows that follow from others (the transitive reduction)."""

    @functools.cache
    def below(name: str) -> frozenset[str]:
        return graph[name].union(*(below(other) for other in graph[name]))

    return {
        name: frozenset(other for other in uses if not any(other in below(one) for one in uses))
        for name, uses in graph.items()
    }


def svg(graph: Graph) -> str:
    """The picture: a row of boxes for each layer, arrows of the transitive reduction."""
    layers, arrows = rows(graph), reduced(graph)
    row_of = {name: number for number, names in enumerate(layers) for name in names}
    chains = [
        [(a, "", row_of[a]), *((a, b, row) for row in between), (b, "", row_of[b])]
        for a, uses in arrows.items()
        for b in sorted(uses)
        for between in [range(row_of[a] + 1, row_of[b])]
    ]
    places = _places(layers, chains)
    width = max(x + _width(node) / 2 for node, x in places.items()) + GAP
    height = len(layers) * ROW + ROW - BOX
    lines = [_curve(chain, places) for chain in chains]
    boxes = [_box(node, x) for node, x in places.items() if not node[1]]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" height="{height}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(lines + boxes)}</svg>\n'
    )


def _places(layers: list[list[str]], chains: list[list[Node]]) -> dict[Node, float]:
    """The middle of every place, so that arrows cross little (barycentres, sweep by sweep)."""
    order: list[list[Node]] = [
        [(name, "", row) for name in names] for row, names in enumerate(layers)
    ]
    near: dict[Node, list[Node]] = {node: [] for nodes in order for node in nodes}
    for chain in chains:
        for node in chain[1:-1]:
            order[node[2]].append(node)
            near[node] = []
        for upper, lower in pairwise(chain):
            near[upper].append(lower)
            near[lower].append(upper)
    places: dict[Node, float] = {}
    for nodes in order:
        _spread(nodes, places)
    for sweep in range(SWEEPS):
        for nodes in order if sweep % 2 else reversed(order):
            wish = {node: fmean(places[n] for n in near[node] or [node]) for node in nodes}
            nodes.sort(key=lambda node: wish[node])
            _spread(nodes, places)
    left = min(x - _width(node) / 2 for node, x in places.items()) - GAP
    return {node: x - left for node, x in places.items()}


def _spread(nodes: list[Node], places: dict[Node, float]) -> None:
    """Put a row's places side by side, in their order, around the middle."""
    x = -sum(map(_width, nodes)) / 2 - GAP * (len(nodes) - 1) / 2
    for node in nodes:
        places[node] = x + _width(node) / 2
        x += _width(node) + GAP


def _width(node: Node) -> float:
    return CROSSING if node[1] else LETTER * len(node[0]) + 2 * CROSSING


def _curve(chain: list[Node], places: dict[Node, float]) -> str:
    path = f"M{places[chain[0]]:.1f} {_middle(chain[0]):.1f}"
    for upper, lower in pairwise(chain):
        y0, y1 = _middle(upper), _middle(lower)
        half = (y0 + y1) / 2
        path += f"C{places[upper]:.1f} {half:.1f} {places[lower]:.1f} {half:.1f} "
        path += f"{places[lower]:.1f} {y1:.1f}"
    return f'<path d="{path}"/>'


def _box(node: Node, x: float) -> str:
    y, width = _middle(node), _width(node)
    return (
        f'<rect class="entry" x="{x - width / 2:.1f}" y="{y - BOX / 2}" width="{width:.1f}" '
        f'height="{BOX}" rx="5"/><text x="{x:.1f}" y="{y + 4.5}">{html(node[0])}</text>'
    )


def _middle(node: Node) -> float:
    return (node[2] + 0.75) * ROW - BOX / 4


def table(graph: Graph) -> str:
    """Entry by entry, top first: what it is, and what it imports. Markdown."""
    layers = rows(graph)
    lines = [
        (
            str(len(layers) - number),
            f"`{name}`",
            first_paragraph(importlib.import_module(f"{PACKAGE}.{name}")),
            ", ".join(f"`{other}`" for other in sorted(graph[name])),
        )
        for number, names in enumerate(layers)
        for name in names
    ]
    return markdown.table(("layer", "entry", "what it is", "imports"), lines)


def counts(graph: Graph) -> str:
    """How large the graph is, in words."""
    arrows = sum(map(len, graph.values()))
    return f"{len(graph)} entries, {arrows} arrows between them, {len(rows(graph))} layers"


if __name__ == "__main__":
    print(counts(import_graph()))
