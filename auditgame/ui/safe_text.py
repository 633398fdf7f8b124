"""Text of unknown origin made safe to show: players' notes, model output, file names."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from auditgame.exhibits.drawing import data_uri

_INSIDE = re.compile(r"([\\`*_\[\]<>~$:|])")
_AT_START = re.compile(r"(?m)^(\s*)([#+=-]|\d+(?=[.)]))")


def plain(text: object) -> str:
    """The text escaped for Markdown: shown letter for letter, without links or HTML."""
    escaped = _INSIDE.sub(r"\\\1", str(text))
    return _AT_START.sub(lambda found: f"{found[1]}&#{ord(found[2][0])};{found[2][1:]}", escaped)


def safe(text: object) -> str:
    """The text escaped for HTML."""
    return html.escape(str(text), quote=True)


def spaced(name: str) -> str:
    """An identifier such as `source_specific` as words: Source specific."""
    return name.replace("_", " ").capitalize()


def figure(png: bytes, label: str = "", note: str = "", tone: str = "plain", alt: str = "") -> str:
    """One picture with a caption, as HTML."""
    description = safe(alt or f"{label} {note}".strip() or "picture")
    caption = safe(label) + (f"<span>{safe(note)}</span>" if note else "")
    return (
        f'<figure class="ag-tile {safe(tone)}"><img src="{data_uri(png)}" alt="{description}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def tiles(figures: Iterable[str], columns: int = 8, least: int = 92, group: int = 1) -> str:
    """Pictures side by side, `columns` in a row; fewer where each would be under `least` pixels.

    group: this many successive pictures always stay together.
    """
    shown = list(figures)
    if group > 1:
        parts = (shown[start : start + group] for start in range(0, len(shown), group))
        shown = [f'<div class="ag-group">{"".join(part)}</div>' for part in parts]
    columns, least = max(1, columns // group), least * group
    gaps = 0.8 * (columns - 1)
    width = f"max({least}px,calc((100% - {gaps:.1f}rem) / {columns} - 1px))"
    style = f"grid-template-columns:repeat(auto-fill,minmax({width},1fr))"
    return f'<div class="ag-tiles" style="{style}">{"".join(shown)}</div>'


def predictions(probabilities: Iterable[tuple[str, float]], label: str | None = None) -> str:
    """Bars of the most probable classes; the first is red where it differs from the true label."""
    rows = []
    for rank, (name, probability) in enumerate(probabilities):
        tone = "" if rank else "top" if label in (None, name) else "top wrong"
        bar = f'<i style="width:{max(probability, 0.01):.0%}"></i>'
        rows.append(f'<div class="{tone}">{safe(name)}<em>{probability:.0%}</em>{bar}</div>')
    return f'<div class="ag-answers">{"".join(rows)}</div>'


def bars(values: Iterable[tuple[str, float]]) -> str:
    """Named numbers of either sign as bars; the largest fills its row."""
    rows = list(values)
    limit = max((abs(value) for _, value in rows), default=0.0) or 1.0
    parts = []
    for name, value in rows:
        sign = " minus" if value < 0 else ""
        fill = f'<span class="ag-fill{sign}" style="width:{abs(value) / limit:.0%}"></span>'
        parts.append(
            f'<span>{safe(name)}</span><span class="ag-track">{fill}</span>'
            f'<span class="ag-points">{value:+.2f}</span>'
        )
    return f'<div class="ag-bar">{"".join(parts)}</div>'
